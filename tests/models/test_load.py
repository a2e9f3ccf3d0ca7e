"""Models come from folders, .gguf files and the hub; what is wrong with a source is said in one line."""

import json
import shutil
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

from saescope.errors import BadSource, BadValue, Mismatch, NotFound, Unreachable
from saescope.models.load import load_model
from support.hub_server import hub_server
from support.tiny import save_tiny_model, tiny_causal_lm, tiny_tokenizer

IDS = torch.randint(3, 384, (2, 10), generator=torch.Generator().manual_seed(4))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return save_tiny_model(tmp_path_factory.mktemp("saved"))


@pytest.fixture
def folder(saved, tmp_path):
    """A copy that a test may spoil."""
    return shutil.copytree(saved, tmp_path / "model")


@pytest.fixture
def hub_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))


def change_json(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize("family", ["llama", "gemma3", "gpt2", "gpt_neox", "opt"])
def test_a_folder_loads_with_the_very_weights_that_were_saved(family, tmp_path):
    model = load_model(save_tiny_model(tmp_path, family), faster=False)
    expected = tiny_causal_lm(family)
    with torch.no_grad():
        assert torch.equal(model.logits(IDS), expected(input_ids=IDS).logits)
    assert model.family == family
    assert model.tokenizer("the people").input_ids == tiny_tokenizer()("the people").input_ids


def test_a_checkpoint_in_half_precision_runs_in_float32_on_a_cpu(tmp_path):
    tiny_causal_lm().to(torch.bfloat16).save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    assert load_model(tmp_path, device="cpu").dtype is torch.float32
    assert load_model(tmp_path, device="cpu", dtype="bfloat16").dtype is torch.bfloat16


def test_the_fingerprint_follows_weights_configuration_and_dtype(saved, folder):
    first = load_model(saved).fingerprint
    assert load_model(folder).fingerprint == first
    assert load_model(folder, dtype="bfloat16").fingerprint != first
    change_json(folder / "config.json", rms_norm_eps=1e-3)
    assert load_model(folder).fingerprint != first
    shutil.copy(saved / "config.json", folder / "config.json")
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][0] += 1
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert load_model(folder).fingerprint != first


def test_a_sharded_checkpoint_loads(tmp_path, saved):
    tiny_causal_lm().save_pretrained(tmp_path, max_shard_size="20KB")
    tiny_tokenizer().save_pretrained(tmp_path)
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    assert torch.equal(load_model(tmp_path).logits(IDS), load_model(saved).logits(IDS))


def test_loading_is_silent(saved, capfd):
    load_model(saved)
    assert capfd.readouterr() == ("", "")


# ---- wrong folders ---------------------------------------------------------------------------------------


def refused(source, pattern, kind=BadSource, **options):
    with pytest.raises(kind, match=pattern) as error:
        load_model(source, **options)
    assert "\n" not in str(error.value)
    assert error.value.hint
    return error.value


def test_a_folder_that_is_no_model(tmp_path):
    refused(tmp_path, "is not a model folder: it has no config.json")


def test_a_path_that_is_not_there():
    refused("./nowhere/at/all", "there is no model folder")


def test_a_file_that_is_no_model(tmp_path):
    (tmp_path / "notes.txt").write_text("notes")
    refused(tmp_path / "notes.txt", "is a file, not a model folder")


@pytest.mark.parametrize("cut", [1, 5000])
def test_truncated_safetensors(folder, cut):
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    refused(folder, f"is cut short: {len(whole) - cut} bytes, its header says {len(whole)}")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"abc",
        b"\x80\x02PK not safetensors at all, but a pickle or an archive",
        struct.pack("<Q", 4) + b"null",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 14) + b'{"a":{"b":[1]}',
        struct.pack("<Q", 9) + b'{"a":"b"}',
        struct.pack("<Q", 2**60),
    ],
)
def test_a_weight_file_that_is_not_safetensors(folder, content):
    (folder / "model.safetensors").write_bytes(content)
    refused(folder, "is not a safetensors file")


def test_safetensors_with_something_behind_them(folder):
    with open(folder / "model.safetensors", "ab") as file:
        file.write(b"more")
    refused(folder, "is too long")


def test_safetensors_of_something_else(folder):
    save_file({"W_enc": torch.zeros(3, 4)}, folder / "model.safetensors", metadata={"format": "pt"})
    refused(folder, r"are not this llama model's: \d+ tensors are missing, such as")


def test_weights_of_another_size(folder):
    change_json(folder / "config.json", intermediate_size=64)
    refused(folder, "cannot be loaded")


def test_a_shard_that_is_not_there(tmp_path):
    tiny_causal_lm().save_pretrained(tmp_path, max_shard_size="20KB")
    tiny_tokenizer().save_pretrained(tmp_path)
    sorted(tmp_path.glob("*.safetensors"))[1].unlink()
    refused(tmp_path, "is without 1 of")


@pytest.mark.parametrize("named", ["../secret.safetensors", "/etc/passwd", 7])
def test_an_index_that_leads_out_of_the_folder(folder, named):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": str(named)}}))
    refused(folder, "is without")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "consolidated.00.pth", "model.pt"])
def test_weights_that_are_pickles_are_refused_by_name(folder, name):
    (folder / "model.safetensors").rename(folder / name)
    error = refused(folder, name)
    assert "safetensors" in error.hint


def test_a_folder_without_weights(folder):
    (folder / "model.safetensors").unlink()
    refused(folder, "has no model.safetensors")


def test_a_folder_without_a_tokenizer(folder):
    (folder / "tokenizer.json").unlink()
    refused(folder, "has no tokenizer")


def test_a_tokenizer_that_is_damaged(folder):
    (folder / "tokenizer.json").write_text("{}")
    refused(folder, "tokenizer in .* cannot be read")


def test_a_tokenizer_of_another_model(tmp_path):
    save_tiny_model(tmp_path, vocab_size=300)
    refused(tmp_path, r"token ids up to \d+, the model's vocabulary has 300", Mismatch)


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"model_type": "nothing-like-it"}', "{}"])
def test_a_configuration_that_is_none(folder, content):
    (folder / "config.json").write_text(content)
    refused(folder, "is not a JSON object|is not one that transformers knows")


@pytest.mark.parametrize(
    "values",
    [{"num_attention_heads": "four"}, {"hidden_size": -1}, {"num_hidden_layers": 7}, {"hidden_act": "x"}],
)
def test_a_configuration_with_wrong_values(folder, values):
    change_json(folder / "config.json", **values)
    refused(folder, "is not right|cannot be loaded|tensors are missing")


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "generation_config.json"])
@pytest.mark.parametrize("nested", [False, True])
def test_code_that_comes_with_a_checkpoint_is_never_run(folder, name, nested, tmp_path):
    canary = tmp_path / "canary"
    (folder / "modeling.py").write_text(f"open({str(canary)!r}, 'w')\nclass Model: ...\n")
    own = {"auto_map": {"AutoConfig": "modeling.Model", "AutoModelForCausalLM": "modeling.Model"}}
    change_json(folder / name, **({"text_config": own} if nested else own))
    refused(folder, "'auto_map': it asks to run code")
    assert not canary.exists()


def test_a_configuration_may_not_choose_kernels_from_the_hub(folder):
    change_json(folder / "config.json", _attn_implementation="someone/kernels", attn_implementation="someone/kernels")
    assert load_model(folder).model.config._attn_implementation in ("sdpa", "eager")


def test_weights_already_quantized_are_refused(folder):
    change_json(folder / "config.json", quantization_config={"quant_method": "gptq", "bits": 4})
    refused(folder, "quantized with 'gptq'")


def test_an_adapter_is_not_a_model(folder):
    (folder / "adapter_config.json").write_text("{}")
    refused(folder, "holds an adapter")


def test_devices_and_dtypes_that_are_not_there(saved):
    refused(saved, "abacus", BadValue, device="abacus")
    refused(saved, "float8", BadValue, dtype="float8")
    if not torch.cuda.is_available():
        refused(saved, "cuda", BadValue, device="cuda")


# ---- the hub ---------------------------------------------------------------------------------------------


def test_a_model_from_the_hub_is_the_same_as_from_its_folder(saved, hub_home, monkeypatch):
    with hub_server({"models/tiny/llama": saved}) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        model = load_model("tiny/llama")
    assert model.fingerprint == load_model(saved).fingerprint


def test_a_model_that_the_hub_does_not_have(saved, hub_home, monkeypatch):
    with hub_server({"models/tiny/llama": saved}) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        refused("tiny/other", "tiny/other", NotFound)


def test_a_hub_that_cannot_be_reached_says_what_works_offline(hub_home, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    error = refused("tiny/llama", "tiny/llama", Unreachable)
    assert "folder" in error.hint
    assert ".gguf" in error.hint
    assert "offline" in error.hint


def test_offline_mode_says_what_works_offline(hub_home, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert ".gguf" in refused("tiny/llama", "tiny/llama", Unreachable).hint
