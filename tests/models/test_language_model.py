"""Reading stops where it may, editing reaches every new token, and nothing stays behind."""

import pytest
import torch

from saescope.errors import Mismatch
from saescope.models.language_model import LanguageModel
from support.tiny import tiny_causal_lm, tiny_model, tiny_tokenizer

IDS = torch.randint(3, 384, (2, 10), generator=torch.Generator().manual_seed(2))
FAMILIES = ["llama", "gemma3", "gpt2", "gpt_neox", "opt"]


@pytest.fixture(scope="module")
def llama():
    return tiny_model("llama")


def count_calls(model):
    """How often each layer and the head have run."""
    calls = {"head": 0, **dict.fromkeys(range(model.layers), 0)}

    def counter(key):
        def hook(*_):
            calls[key] += 1

        return hook

    model.model.get_output_embeddings().register_forward_pre_hook(counter("head"))
    for n, layer in enumerate(model._structure.layers):
        layer.register_forward_pre_hook(counter(n))
    return calls


def hooks_of(model):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.model.modules())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("hookpoints", "ran"),
    [
        (["embed"], []),
        (["layers.0.resid_post"], [0]),
        (["layers.1.resid_pre"], [0]),
        (["layers.1.attn_out"], [0, 1]),
        (["layers.1.resid_post", "layers.0.mlp_out", "embed"], [0, 1]),
        ([], []),
    ],
)
def test_no_layer_past_the_last_hookpoint_runs_and_never_the_head(family, hookpoints, ran):
    model = tiny_model(family)
    calls = count_calls(model)
    model.read(IDS, hookpoints)
    started = {key for key, n in calls.items() if n}
    # the layer whose input is asked for is entered, and left before it works
    assert started - ({1} if hookpoints == ["layers.1.resid_pre"] else set()) == set(ran)


def test_a_layer_whose_input_is_asked_for_does_no_work(llama):
    worked = []
    handle = llama.model.model.layers[1].input_layernorm.register_forward_hook(lambda *_: worked.append(1))
    llama.read(IDS, ["layers.1.resid_pre"])
    handle.remove()
    assert worked == []


def test_reading_keeps_the_names_asked_for_and_doubles_share_nothing(llama):
    read = llama.read(IDS, ["blocks.1.hook_resid_post", "layers.1.resid_post", "layers.2.resid_pre"])
    assert list(read) == ["blocks.1.hook_resid_post", "layers.1.resid_post", "layers.2.resid_pre"]
    assert torch.equal(read["layers.1.resid_post"], read["layers.2.resid_pre"])
    read["layers.1.resid_post"].zero_()
    assert read["layers.2.resid_pre"].abs().sum() > 0


def test_what_is_read_is_the_callers_own_and_can_be_trained_on(llama):
    first = llama.read(IDS, ["layers.0.resid_post"])["layers.0.resid_post"]
    kept = first.clone()
    llama.read(IDS.flip(0), ["layers.0.resid_post"])
    assert torch.equal(first, kept)
    assert not first.is_inference()
    weight = torch.ones(32, requires_grad=True)
    (first * weight).sum().backward()
    torch.testing.assert_close(weight.grad, first.sum((0, 1)))


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_on_the_right_changes_no_earlier_activation(family):
    model = tiny_model(family)
    name = "layers.1.resid_post"
    padded = torch.cat([IDS, torch.full((2, 6), 2)], dim=1)
    alone, beside = model.read(IDS, [name])[name], model.read(padded, [name])[name]
    torch.testing.assert_close(beside[:, : IDS.shape[1]], alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["resid_post", "resid_pre", "mlp_out", "attn_out"])
def test_edits_reach_every_new_token_under_the_cache(family, kind):
    model = tiny_model(family)
    shapes = []

    def edit(h):
        shapes.append(tuple(h.shape))
        return h + 0.3

    settings = {
        "max_new_tokens": 4,
        "do_sample": False,
        "use_cache": True,
        "pad_token_id": 2,
        "eos_token_id": None,
    }
    with model.editing(f"layers.1.{kind}", edit):
        cached = model.model.generate(IDS, attention_mask=torch.ones_like(IDS), **settings)
    assert shapes == [(2, 10, 32)] + [(2, 1, 32)] * 3
    with model.editing(f"layers.1.{kind}", lambda h: h + 0.3):
        ids = IDS
        for _ in range(4):
            ids = torch.cat([ids, model.logits(ids)[:, -1:].argmax(-1)], dim=1)
    assert torch.equal(cached, ids)


def test_nested_edits_act_in_the_order_in_which_they_were_entered(llama):
    name = "layers.1.resid_post"
    before = llama.read(IDS, [name])[name]
    with llama.editing(name, lambda h: h + 1), llama.editing(name, lambda h: h * 2):
        torch.testing.assert_close(llama.read(IDS, [name])[name], (before + 1) * 2)
        with llama.editing("layers.1.resid_pre", torch.zeros_like):
            assert not torch.allclose(llama.read(IDS, [name])[name], (before + 1) * 2)
    assert torch.equal(llama.read(IDS, [name])[name], before)


def test_an_edit_that_changes_nothing_gives_the_same_logits_bit_for_bit(llama):
    plain = llama.logits(IDS)
    with llama.editing("layers.1.resid_post", lambda h: h):
        assert torch.equal(llama.logits(IDS), plain)


def test_no_hook_stays_behind_whatever_happens(llama):
    before = hooks_of(llama)

    def fail(h):
        raise RuntimeError("an edit that fails")

    with pytest.raises(RuntimeError, match="an edit that fails"), llama.editing("embed", fail):
        llama.logits(IDS)
    with pytest.raises(RuntimeError), llama.editing("embed", fail):
        llama.read(IDS, ["layers.0.resid_post"])
    with pytest.raises(KeyboardInterrupt), llama.editing("embed", lambda h: h):
        raise KeyboardInterrupt
    llama.read(IDS, ["layers.2.attn_out"])
    assert hooks_of(llama) == before


def test_an_edit_that_changes_the_shape_is_refused(llama):
    with pytest.raises(Mismatch, match=r"layers.0.resid_post.*\(2, 9, 32\).*\(2, 10, 32\)"):  # noqa: SIM117
        with llama.editing("layers.0.resid_post", lambda h: h[:, 1:]):
            llama.logits(IDS)


def test_context_longer_than_the_models_is_refused(llama):
    llama.check_context(64)
    with pytest.raises(Mismatch, match="context of 65 tokens is longer than the model's 64"):
        llama.check_context(65)
    with pytest.raises(Mismatch, match="100"):
        llama.read(torch.zeros(1, 100, dtype=torch.int64), ["embed"])


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_says_how_long_its_context_is(family):
    assert tiny_model(family).max_context == 64


def test_tokens_outside_the_vocabulary_are_refused(llama):
    with pytest.raises(Mismatch, match="token id 384 is outside the model's vocabulary of 384"):
        llama.read(torch.tensor([[3, 384]]), ["embed"])


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused():
    with pytest.raises(Mismatch, match=r"tokenizer has token ids up to \d+, the model's vocabulary has 64"):
        LanguageModel(tiny_causal_lm(vocab_size=64), tiny_tokenizer())


def test_a_model_is_never_trained_by_accident(llama):
    assert not llama.model.training
    assert not any(parameter.requires_grad for parameter in llama.model.parameters())
    assert llama.logits(IDS).requires_grad is False


def test_what_a_model_is(llama):
    assert (llama.family, llama.layers, llama.d_model, llama.vocabulary) == ("llama", 3, 32, 384)
    assert llama.device.type == "cpu"
    assert llama.dtype is torch.float32
    assert len(llama.tokenizer_fingerprint) == 64
    assert list(llama.hookpoints)[:6] == [
        "embed",
        "layers.0.resid_pre",
        "layers.0.attn_out",
        "layers.0.mlp_in",
        "layers.0.mlp_out",
        "layers.0.resid_post",
    ]


def test_threads_that_read_and_edit_one_model_do_not_meet() -> None:
    """Fire and steer run while an extraction runs the same model."""
    from concurrent.futures import ThreadPoolExecutor

    model = tiny_model()
    ids = torch.arange(40).view(2, 20) + 3
    places = ["layers.0.resid_post", "layers.2.mlp_out", "layers.1.mlp_in"]
    alone = {place: model.read(ids, [place])[place] for place in places}
    clean = model.logits(ids)

    def read(place: str) -> bool:
        return all(torch.equal(model.read(ids, [place])[place], alone[place]) for _ in range(40))

    def edit(_: str) -> bool:
        for _ in range(40):
            with model.editing("layers.1.resid_post", lambda h: h * 0):
                if torch.equal(model.logits(ids), clean):
                    return False
        return torch.equal(model.logits(ids), clean)

    with ThreadPoolExecutor(4) as pool:
        assert all([*pool.map(read, places), *pool.map(edit, ["one"])])
