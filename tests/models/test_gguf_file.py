"""A .gguf file becomes an ordinary checkpoint folder, once."""

import gguf
import pytest
import torch

from saescope.errors import BadSource
from saescope.models.load import convert_gguf, load_model
from support.tiny import tiny_causal_lm, tiny_tokenizer

IDS = torch.randint(3, 384, (2, 10), generator=torch.Generator().manual_seed(5))
_LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def write_gguf(path, model, tokenizer):
    """A llama as llama.cpp stores one, in float32."""
    config, state = model.config, model.state_dict()
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    vocabulary = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    import json

    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(vocabulary)
    writer.add_token_types([gguf.TokenType.CONTROL] * 3 + [gguf.TokenType.NORMAL] * (len(vocabulary) - 3))
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_pad_token_id(2)

    def put(name, tensor, heads=None):
        if heads:  # llama.cpp keeps the two halves of a rotation next to each other
            tensor = tensor.reshape(heads, 2, -1, tensor.shape[1]).swapaxes(1, 2).reshape(tensor.shape)
        writer.add_tensor(name, tensor.contiguous().numpy())

    put("token_embd.weight", state["model.embed_tokens.weight"])
    put("output_norm.weight", state["model.norm.weight"])
    put("output.weight", state["lm_head.weight"])
    turned = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    for n in range(config.num_hidden_layers):
        for ours, theirs in _LAYER.items():
            put(f"blk.{n}.{theirs}.weight", state[f"model.layers.{n}.{ours}.weight"], turned.get(theirs))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def tiny_gguf(tmp_path_factory):
    model = tiny_causal_lm("llama", vocab_size=len(tiny_tokenizer()))
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf", model, tiny_tokenizer())


def test_a_converted_model_gives_the_same_logits_and_tokens(tiny_gguf, tmp_path, capfd):
    stages = []
    convert_gguf(tiny_gguf, tmp_path, lambda progress: stages.append(progress.done))
    assert capfd.readouterr() == ("", "")
    assert stages == [0, 1, 2, 3]
    assert (tmp_path / "model.safetensors").is_file()
    model = load_model(tmp_path)
    expected = tiny_causal_lm("llama", vocab_size=len(tiny_tokenizer()))
    ids = IDS % len(tiny_tokenizer())
    with torch.no_grad():
        torch.testing.assert_close(model.logits(ids), expected(input_ids=ids).logits, rtol=1e-4, atol=1e-4)
    text = "The state of the union, 1790 — and tea."
    assert model.tokenizer(text).input_ids == tiny_tokenizer()(text).input_ids
    assert (model.tokenizer.bos_token_id, model.tokenizer.eos_token_id) == (0, 1)


def test_converting_twice_gives_one_fingerprint(tiny_gguf, tmp_path):
    prints = set()
    for name in ("a", "b"):
        convert_gguf(tiny_gguf, tmp_path / name)
        prints.add(load_model(tmp_path / name).fingerprint)
    assert len(prints) == 1


def test_a_gguf_file_can_be_loaded_directly(tiny_gguf):
    model = load_model(tiny_gguf)
    assert (model.family, model.layers, model.max_context) == ("llama", 3, 64)


def refused(path, pattern, folder):
    for attempt in (lambda: load_model(path), lambda: convert_gguf(path, folder)):
        with pytest.raises(BadSource, match=pattern) as error:
            attempt()
        assert "\n" not in str(error.value)
        assert error.value.hint


def test_a_gguf_file_that_is_not_there(tmp_path):
    refused(tmp_path / "nothing.gguf", "there is no file", tmp_path / "out")


@pytest.mark.parametrize("content", [b"", b"GG", b"\x80\x04 a pickle", b"PK\x03\x04 an archive"])
def test_a_gguf_file_that_is_not_gguf(tmp_path, content):
    (tmp_path / "wrong.gguf").write_bytes(content)
    refused(tmp_path / "wrong.gguf", "is not a GGUF file: it begins with", tmp_path / "out")


@pytest.mark.parametrize("share", [0.0005, 0.3, 0.9])
def test_a_gguf_file_that_is_cut_short(tiny_gguf, tmp_path, share):
    whole = tiny_gguf.read_bytes()
    (tmp_path / "short.gguf").write_bytes(whole[: max(8, int(len(whole) * share))])
    refused(tmp_path / "short.gguf", "cannot be read", tmp_path / "out")


def test_a_gguf_file_of_an_unknown_architecture(tmp_path):
    writer = gguf.GGUFWriter(tmp_path / "odd.gguf", "abacus")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    refused(tmp_path / "odd.gguf", "cannot be read", tmp_path / "out")
