"""The table of GPUs, and the arithmetic on it, against a calculation by hand."""

import pytest

from saescope.errors import BadValue
from saescope.jobs.gpus import GPUS, Gpu, Task, linear_weights, named, on_gpu
from support.tiny import tiny_model

ROUND = Gpu("round", memory=10, bandwidth=1000, float32=10.0, half=100.0)
TASK = Task(
    model_operations=5e15,
    model_weights=10**9,
    half=True,
    blocks=1000,
    layers=10,
    sae_operations=1e15,
    sae_bytes=7e13,
    facts_operations=5e14,
    facts_bytes=3.5e13,
    host_seconds=40.0,
    memory_bytes=9 * 2**30,
)


def test_seconds_are_operations_and_bytes_over_the_rates_that_are_reached():
    found = on_gpu(TASK, ROUND)
    assert found["phases"]["model"] == pytest.approx(100.0)  # 5e15 / (100e12 * 0.5)
    assert found["phases"]["saes"] == pytest.approx(300.0)  # 1e15 / (10e12 * 0.5) + 7e13 / (1e12 * 0.7)
    assert found["phases"]["weights"] == pytest.approx(150.0)  # 5e14 / 5e12 + 3.5e13 / 7e11
    assert found["seconds"] == pytest.approx(100 + 300 + 150 + 40)
    assert found["basis"] == "arithmetic"


def test_a_small_model_waits_for_its_weights_or_for_its_launches():
    small = Task(**{**vars(TASK), "model_operations": 1.0})
    assert on_gpu(small, ROUND)["phases"]["model"] == pytest.approx(1000 * 2e9 / 7e11)
    tiny = Task(**{**vars(small), "model_weights": 1})
    assert on_gpu(tiny, ROUND)["phases"]["model"] == pytest.approx(1000 * 10 * 1.2e-4)


def test_a_model_in_float32_goes_by_the_other_rate():
    found = on_gpu(Task(**{**vars(TASK), "half": False}), ROUND)
    assert found["phases"]["model"] == pytest.approx(1000.0)
    assert found["dtype"] == "float32"


def test_what_does_not_fit_is_said():
    assert on_gpu(TASK, ROUND)["fits"]
    assert not on_gpu(Task(**{**vars(TASK), "memory_bytes": 10 * 2**30}), ROUND)["fits"]


def test_names_are_read_in_any_case_and_several_may_begin_alike():
    assert [gpu.name for gpu in named(("nvidia geforce rtx3090",))] == ["RTX 3090"]
    assert [gpu.name for gpu in named(("h100",))] == ["H100 PCIe", "H100 SXM"]
    assert [gpu.name for gpu in named(("L4",))] == ["L4"]
    assert named(("all",)) == list(GPUS)
    assert [gpu.name for gpu in named(("H100 SXM", "h100"))] == ["H100 SXM", "H100 PCIe"]
    assert len(named(())) > 1


@pytest.mark.parametrize("name", ["", "MI300", "RTX", "-"])
def test_an_unknown_gpu_is_refused_with_those_that_are_known(name):
    if name == "RTX":
        assert {gpu.name for gpu in named((name,))} == {"RTX 3090", "RTX 4090", "RTX 5090"}
        return
    with pytest.raises(BadValue) as error:
        named((name,))
    assert "RTX 3090" in error.value.hint


@pytest.mark.parametrize(
    ("family", "layer"),
    [
        ("llama", 32 * 32 + 2 * 32 * 16 + 32 * 32 + 3 * 32 * 48),  # q, k and v, o, gate and up and down
        ("gpt2", 32 * 96 + 32 * 32 + 2 * 32 * 128),  # qkv, o, up and down
    ],
)
def test_only_the_layers_that_a_reading_passes_are_counted(family, layer):
    model = tiny_model(family)
    assert linear_weights(model, ["layers.0.resid_post"]) == layer
    assert linear_weights(model, ["layers.0.resid_post", "layers.2.resid_pre"]) == 2 * layer
    assert linear_weights(model, ["embed"]) == 0
