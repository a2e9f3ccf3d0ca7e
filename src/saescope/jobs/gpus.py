"""What an extraction would take on a GPU: arithmetic from data sheets, not a measurement.

Operations and bytes are counted on the model and the SAEs themselves and divided by a GPU's rates times the
efficiencies below. What the host does (loading, saving, writing) is taken as measured on this machine.
"""

import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..errors import BadValue
from ..extraction.sweep import BLOCK_TOKENS
from ..models.language_model import LanguageModel
from .passes import Pass
from .trial import Tried


@dataclass(frozen=True)
class Gpu:
    """A GPU by its data sheet: dense rates, no sparsity; bfloat16 on tensor cores, adding up in float32."""

    name: str
    memory: int
    """GiB."""
    bandwidth: int
    """GB/s."""
    float32: float
    """TFLOP/s outside the tensor cores: torch uses no TF32 unless it is told to."""
    half: float
    """TFLOP/s in bfloat16 or float16."""


GPUS = (
    # NVIDIA Ampere GA102 architecture whitepaper, V2.1, appendix A
    Gpu("RTX 3090", 24, 936, 35.6, 71.0),
    # NVIDIA Ada GPU architecture whitepaper, V2.1, appendix A
    Gpu("RTX 4090", 24, 1008, 82.6, 165.2),
    # NVIDIA RTX Blackwell GPU architecture whitepaper, V1.1, appendix A
    Gpu("RTX 5090", 32, 1792, 104.8, 209.5),
    # Data sheets: A10, L4, L40S, A40, A100, H100, H200 Tensor Core GPU
    Gpu("A10", 24, 600, 31.2, 125.0),
    Gpu("L4", 24, 300, 30.3, 121.0),
    Gpu("L40S", 48, 864, 91.6, 362.0),
    Gpu("A40", 48, 696, 37.4, 149.7),
    Gpu("A100 40GB", 40, 1555, 19.5, 312.0),
    Gpu("A100 80GB", 80, 2039, 19.5, 312.0),
    Gpu("H100 PCIe", 80, 2000, 51.0, 756.0),
    Gpu("H100 SXM", 80, 3350, 67.0, 989.0),
    Gpu("H200", 141, 4800, 67.0, 989.0),
)
DEFAULT = ("RTX 3090", "RTX 4090", "A100 80GB", "H100 SXM")
"""Those that an estimate shows when none is named."""

MATMUL = 0.5
"""Share of the data sheet's operations a second that matrix products reach; large ones reach more."""
BANDWIDTH = 0.7
"""Share of the data sheet's bandwidth that passes over memory reach."""
LAYER_SECONDS = 1.2e-4
"""What launching one layer's kernels takes: about 25 of 5 microseconds each. Small models wait for it."""
_TILE_PASSES = 6
"""Times that a tile of pre-activations goes through memory: written once, looked through for what is active."""
_BYTES_PER_ACTIVE = 400
"""Memory traffic of one non-zero activation in the reduction: a sort of 64-bit keys, and what is gathered."""
_STATE_COPIES = 3
"""The rows of a state made of tensors: kept, waiting, and as the two are merged."""
_CONTEXT_BYTES = 1 << 29
"""What CUDA itself takes."""
_USABLE = 0.95
"""Share of a GPU's memory that a process gets."""


@dataclass(frozen=True)
class Task:
    """An extraction, counted."""

    model_operations: float
    """Floating-point operations of the forward pass up to the last hookpoint, over all samples."""
    model_weights: int
    """Numbers that one block's forward pass reads."""
    half: bool
    """Whether the model runs in bfloat16 or float16 there; SAEs run in float32."""
    blocks: float
    layers: int
    sae_operations: float
    sae_bytes: float
    """Traffic of pre-activations and of the reduction."""
    facts_operations: float
    facts_bytes: float
    host_seconds: float
    memory_bytes: int
    """What has to fit on the GPU."""


def named(names: tuple[str, ...]) -> list[Gpu]:
    """The GPUs that these names mean: `all`, or a name as it is written or begins, whatever its case; BadValue else."""
    found: list[Gpu] = []
    for name in names or DEFAULT:
        key = _plain(name)
        exact = [gpu for gpu in GPUS if _plain(gpu.name) == key]
        several = GPUS if key == "all" else exact or [gpu for gpu in GPUS if key and _plain(gpu.name).startswith(key)]
        if not several:
            known = ", ".join(gpu.name for gpu in GPUS)
            raise BadValue(f"estimate-for: there are no figures for a GPU {name!r}", f"known: {known}, or all")
        found += [gpu for gpu in several if gpu not in found]
    return found


def _plain(name: str) -> str:
    return re.sub("[^a-z0-9]|nvidia|geforce|tesla", "", name.lower())


def on_gpu(task: Task, gpu: Gpu) -> dict[str, Any]:
    """Seconds by phase and memory on one GPU."""
    matmul = {True: gpu.half * 1e12 * MATMUL, False: gpu.float32 * 1e12 * MATMUL}
    bandwidth = gpu.bandwidth * 1e9 * BANDWIDTH
    weights = task.blocks * task.model_weights * (2 if task.half else 4)
    phases = {
        "model": max(
            task.model_operations / matmul[task.half], weights / bandwidth, task.blocks * task.layers * LAYER_SECONDS
        ),
        "saes": task.sae_operations / matmul[False] + task.sae_bytes / bandwidth,
        "weights": task.facts_operations / matmul[False] + task.facts_bytes / bandwidth,
        "host": task.host_seconds,
    }
    return {
        "name": gpu.name,
        "seconds": sum(phases.values()),
        "phases": phases,
        "peak_memory_bytes": task.memory_bytes,
        "memory_bytes": gpu.memory * 2**30,
        "fits": task.memory_bytes <= gpu.memory * 2**30 * _USABLE,
        "dtype": "bfloat16" if task.half else "float32",
        "basis": "arithmetic",
    }


def task(job: Pass, samples: int, tokens: int, cells: int, tried: Tried, host_seconds: float) -> Task:
    """Count an extraction of so many samples, valid tokens and positions given to the model."""
    model, spec = job.model, job.spec
    half = _half(job)
    layers = max(_layers(hookpoint) for hookpoint in job.hookpoints)
    weights = linear_weights(model, job.hookpoints)
    attention = layers * 4 * spec.context * _attention_width(model)
    saes = [part.sae for part in job.parts]
    new = [sae for part, sae in zip(job.parts, saes, strict=True) if not _kept(job, part.record.id)]
    vocabulary = model.vocabulary
    active = zip(saes, tried.active_per_token, strict=True)
    return Task(
        model_operations=cells * (2 * weights + attention),
        model_weights=weights,
        half=half,
        blocks=cells / BLOCK_TOKENS,
        layers=layers,
        sae_operations=sum(2.0 * tokens * sae.d_in * sae.d_sae for sae in saes),
        sae_bytes=sum(tokens * (4.0 * _TILE_PASSES * sae.d_sae + _BYTES_PER_ACTIVE * l0) for sae, l0 in active),
        facts_operations=sum(2.0 * sae.d_in * sae.d_sae * (vocabulary + sae.d_sae) for sae in new),
        facts_bytes=sum(4.0 * _TILE_PASSES * sae.d_sae * (2 * vocabulary + sae.d_sae) for sae in new),
        host_seconds=host_seconds,
        memory_bytes=_memory(job, tried, half),
    )


def linear_weights(model: LanguageModel, hookpoints: list[str]) -> int:
    """Weights of the linear maps that reading these hookpoints passes: two operations each for every position."""
    passed: dict[int, int] = {}

    def note(module: nn.Module, *_: object) -> None:
        passed[id(module)] = _weights(module)

    handles = [module.register_forward_hook(note) for module in model.model.modules() if _weights(module)]
    try:
        model.read(torch.zeros(1, 2, dtype=torch.int64), hookpoints)
    finally:
        for handle in handles:
            handle.remove()
    return sum(passed.values())


def _weights(module: nn.Module) -> int:
    """Weights of a linear map; 0 for any other module."""
    sizes = getattr(module, "in_features", None), getattr(module, "out_features", None)
    if isinstance(sizes[0], int) and isinstance(sizes[1], int):
        return sizes[0] * sizes[1]
    weight = getattr(module, "weight", None)  # GPT-2's Conv1D names no sizes
    if not isinstance(weight, torch.Tensor) or isinstance(module, nn.Embedding):
        return 0
    return weight.numel() if weight.dim() == 2 else 0


def _layers(hookpoint: str) -> int:
    """Layers that are run to reach a hookpoint."""
    found = re.fullmatch(r"layers\.(\d+)\.(\w+)", hookpoint)
    if found is None:
        return 0
    return int(found[1]) + (found[2] != "resid_pre")


def _attention_width(model: LanguageModel) -> int:
    """Numbers of all heads together."""
    config = _config(model)
    heads, each = getattr(config, "num_attention_heads", None), getattr(config, "head_dim", None)
    return heads * each if heads and each else model.d_model


def _config(model: LanguageModel) -> Any:
    """The configuration of the part that reads text."""
    return getattr(model.model.config, "text_config", model.model.config)


def _half(job: Pass) -> bool:
    """Whether the model would run in half precision: as it was added, or bfloat16 where a CPU made it float32.

    A GGUF file was converted to float32, and stays that.
    """
    return job.model_record.dtype in ("bfloat16", "float16") or job.model_record.path is None


def _kept(job: Pass, id: str) -> bool:
    return job.context.home.artifact("facts", id).is_dir()


def _memory(job: Pass, tried: Tried, half: bool) -> int:
    """The whole model, the SAEs, a block's activations, one tile, the states' rows as they are merged."""
    model, number = job.model, 2 if half else 4
    parameters = sum(parameter.numel() for parameter in model.model.parameters())
    widest = getattr(_config(model), "intermediate_size", None) or 4 * model.d_model
    activations = BLOCK_TOKENS * (6 * model.d_model + 3 * widest) * number
    saes = sum(4 * sum(p.numel() for p in part.sae.parameters()) for part in job.parts)
    tile = max(3 * 4 * part.sae.tile_rows * part.sae.d_sae for part in job.parts)
    return parameters * number + saes + activations + tile + _STATE_COPIES * tried.state + _CONTEXT_BYTES
