"""Every family's residual stream is where we say it is."""

import pytest
import torch

from saescope.errors import BadSource, BadValue
from saescope.models.language_model import LanguageModel
from support.tiny import FAMILIES, tiny_causal_lm, tiny_model, tiny_tokenizer

IDS = torch.randint(3, 384, (2, 12), generator=torch.Generator().manual_seed(1))
KINDS = ("resid_pre", "attn_out", "mlp_out", "resid_post")
VARIANTS = [(family, {}) for family in FAMILIES] + [
    ("gpt_neox", {"use_parallel_residual": False}),
    ("opt", {"do_layer_norm_before": False}),
    ("opt", {"do_layer_norm_before": False, "word_embed_proj_dim": 16}),
    ("opt", {"word_embed_proj_dim": 16}),
]
every_family = pytest.mark.parametrize(
    ("family", "overrides"), VARIANTS, ids=[f"{f}{'-' + '-'.join(o) if o else ''}" for f, o in VARIANTS]
)


def hidden_states(model):
    with torch.no_grad():
        return model.model(input_ids=IDS, output_hidden_states=True, use_cache=False).hidden_states


@every_family
def test_residual_stream_equals_the_models_own_hidden_states(family, overrides):
    model = tiny_model(family, **overrides)
    expected = hidden_states(model)
    names = [f"layers.{n}.{kind}" for n in range(model.layers) for kind in ("resid_pre", "resid_post")]
    read = model.read(IDS, names)
    for n in range(model.layers):
        assert torch.equal(read[f"layers.{n}.resid_pre"], expected[n])
        if n < model.layers - 1:  # the last of theirs has been through the final norm
            assert torch.equal(read[f"layers.{n}.resid_post"], expected[n + 1])


@every_family
def test_last_layers_output_through_norm_and_head_gives_the_logits(family, overrides):
    model = tiny_model(family, **overrides)
    weight, norm = model.unembedding()
    h = model.read(IDS, [f"layers.{model.layers - 1}.resid_post"]).popitem()[1]
    logits = (h if norm is None else norm(h)) @ weight.T
    bias = getattr(model.model.get_output_embeddings(), "bias", None)
    logits = logits if bias is None else logits + bias
    cap = getattr(model.model.config, "final_logit_softcapping", None)
    logits = logits if cap is None else cap * torch.tanh(logits / cap)
    torch.testing.assert_close(logits, model.logits(IDS), rtol=1e-4, atol=1e-4)


@every_family
def test_sublayers_outputs_are_what_is_added_to_the_residual_stream(family, overrides):
    model = tiny_model(family, **overrides)
    for n in range(model.layers):
        pre, attention, mlp, post = model.read(IDS, [f"layers.{n}.{kind}" for kind in KINDS]).values()
        assert attention.shape == mlp.shape == pre.shape
        if "do_layer_norm_before" in overrides:
            continue  # normed after each sum: the identity holds inside, between the norms
        torch.testing.assert_close(pre + attention + mlp, post, rtol=1e-5, atol=1e-5)


def test_post_normed_opt_adds_before_its_norms():
    model = tiny_model("opt", do_layer_norm_before=False)
    layer = model.model.model.decoder.layers[1]
    pre, attention, mlp, post = model.read(IDS, [f"layers.1.{kind}" for kind in KINDS]).values()
    middle = layer.self_attn_layer_norm(pre + attention)
    torch.testing.assert_close(layer.final_layer_norm(middle + mlp), post)


@every_family
def test_embed_is_the_output_of_the_token_embedding(family, overrides):
    model = tiny_model(family, **overrides)
    read = model.read(IDS, ["embed"])["embed"]
    assert torch.equal(read, model.model.get_input_embeddings()(IDS))
    assert read.shape[-1] == model.hookpoints["embed"] == overrides.get("word_embed_proj_dim", 32)


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "opt"])
def test_mlp_in_is_what_the_layers_mlp_makes_its_output_of(family):
    """OPT's layers have no module that is the MLP as a whole."""
    model = tiny_model(family)
    layer = model._structure.layers[1]
    mlp = next(module for name, module in layer.named_children() if name in ("mlp", "feed_forward"))
    entering = model.read(IDS, ["layers.1.mlp_in"])["layers.1.mlp_in"]
    leaving = model.read(IDS, ["layers.1.mlp_out"])["layers.1.mlp_out"]
    made = mlp(entering)
    norm = getattr(layer, "post_feedforward_layernorm", None)
    torch.testing.assert_close(norm(made) if norm is not None else made, leaving)


@every_family
def test_every_hookpoint_has_its_width_and_can_be_edited(family, overrides):
    model = tiny_model(family, **overrides)
    assert len(model.hookpoints) == 1 + (4 if family == "opt" else 5) * model.layers
    plain = model.logits(IDS)
    for name, width in model.hookpoints.items():
        seen = []

        def double(h, seen=seen):
            seen.append(tuple(h.shape))
            return h * 2 + 0.5

        with model.editing(name, double):
            edited = model.logits(IDS)
        assert seen == [(2, 12, width)]
        assert not torch.allclose(edited, plain), name
    assert torch.equal(model.logits(IDS), plain)


def test_tuples_and_plain_tensors_from_layers_are_both_read_and_edited():
    model = tiny_model()
    layer = model.model.model.layers[1]
    plain, expected = layer.forward, model.read(IDS, ["layers.1.resid_post", "layers.2.resid_pre"])
    before = model.logits(IDS)
    with model.editing("layers.1.resid_post", lambda h: h * 3):
        edited = model.logits(IDS)

    layer.forward = lambda *args, **kwargs: (plain(*args, **kwargs), "weights")
    following = model.model.model.layers[2]
    inner = following.forward
    following.forward = lambda h, **kwargs: inner(h[0] if isinstance(h, tuple) else h, **kwargs)
    assert torch.equal(model.read(IDS, ["layers.1.resid_post"])["layers.1.resid_post"], expected["layers.1.resid_post"])
    assert torch.equal(model.logits(IDS), before)
    with model.editing("layers.1.resid_post", lambda h: h * 3):
        assert torch.equal(model.logits(IDS), edited)


@pytest.mark.parametrize(
    ("family", "given", "canonical"),
    [
        ("llama", "layers.1.resid_post", "layers.1.resid_post"),
        ("llama", "blocks.1.hook_resid_post", "layers.1.resid_post"),
        ("llama", "blocks.1.hook_resid_pre", "layers.1.resid_pre"),
        ("llama", "blocks.2.hook_mlp_out", "layers.2.mlp_out"),
        ("llama", "blocks.0.hook_attn_out", "layers.0.attn_out"),
        ("llama", "hook_embed", "embed"),
        ("llama", "model.embed_tokens", "embed"),
        ("llama", "model.layers.1", "layers.1.resid_post"),
        ("llama", "layers.1", "layers.1.resid_post"),
        ("llama", "model.layers.1.mlp", "layers.1.mlp_out"),
        ("llama", "model.layers.1.self_attn", "layers.1.attn_out"),
        ("gemma2", "model.layers.1.post_feedforward_layernorm", "layers.1.mlp_out"),
        ("gemma3", "model.language_model.layers.2", "layers.2.resid_post"),
        ("gpt2", "transformer.h.1", "layers.1.resid_post"),
        ("gpt2", "transformer.h.1.attn", "layers.1.attn_out"),
        ("gpt2", "transformer.wte", "embed"),
        ("gpt_neox", "gpt_neox.layers.0.mlp", "layers.0.mlp_out"),
        ("opt", "model.decoder.layers.0.fc2", "layers.0.mlp_out"),
    ],
)
def test_names_of_other_libraries_mean_the_same_place(family, given, canonical):
    model = tiny_model(family)
    assert model.hookpoint(given) == canonical
    assert torch.equal(model.read(IDS, [given])[given], model.read(IDS, [canonical])[canonical])


@pytest.mark.parametrize(
    "name", ["resid_post", "blocks.1.hook_resid_mid", "layers.1.resid_mid", "model.layers.1.mlp.up_proj", ""]
)
def test_unknown_hookpoint_lists_the_known(name):
    with pytest.raises(BadValue, match="unknown hookpoint") as error:
        tiny_model().hookpoint(name)
    assert "embed, layers.N.{attn_out,mlp_in,mlp_out,resid_post,resid_pre} with N from 0 to 2" in error.value.hint
    assert len(str(error.value)) < 200


@pytest.mark.parametrize("name", ["layers.3.resid_post", "blocks.3.hook_resid_post", "layers.99.mlp_out"])
def test_layer_that_is_not_there_says_how_many_there_are(name):
    with pytest.raises(BadValue, match="layers 0 to 2"):
        tiny_model().hookpoint(name)


def test_a_model_without_a_stack_of_decoder_layers_is_refused():
    from transformers import BertConfig, BertLMHeadModel

    config = BertConfig(vocab_size=384, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, is_decoder=True)
    with pytest.raises(BadSource, match="no stack of layers"):
        LanguageModel(BertLMHeadModel(config), tiny_tokenizer())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt_neox", "opt"])
def test_sublayers_are_found_in_half_precision_too(family, dtype):
    model = LanguageModel(tiny_causal_lm(family).to(dtype), tiny_tokenizer())
    reference = tiny_model(family)
    assert model._structure.aliases == reference._structure.aliases
