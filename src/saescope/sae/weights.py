"""Weights in a file, whatever kind of file: their names, types and shapes first, their numbers when all is well."""

from collections.abc import Iterable
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..errors import BadSource
from .header import TensorHead, one_line, read_header
from .npz import read_npz, read_npz_heads
from .torch_file import read_torch, read_torch_heads

FLOATS = ("F64", "F32", "F16", "BF16")
DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def weight_heads(path: Path) -> dict[str, TensorHead]:
    """Every tensor of a .safetensors, .npz or .pt file, checked to be where the file says. Raises BadSource."""
    _check_file(path)
    match path.suffix:
        case ".npz":
            return read_npz_heads(path)
        case ".pt" | ".pth":
            return read_torch_heads(path)
        case _:
            return read_header(path)


def read_weights(path: Path, names: Iterable[str]) -> dict[str, Tensor]:
    """The tensors of these names, which `weight_heads` has seen."""
    match path.suffix:
        case ".npz":
            return read_npz(path, list(names))
        case ".pt" | ".pth":
            return read_torch(path, list(names))
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        raise BadSource(f"{str(path)!r} cannot be read: {one_line(str(error))}", "download or copy it again") from None


def _check_file(path: Path) -> None:
    """BadSource for what is no ordinary file: a folder, a device, a pipe that never ends."""
    if not path.exists():
        raise BadSource(f"{path.name!r} is not in {str(path.parent)!r}", "give the SAE's own folder")
    if not path.is_file():
        raise BadSource(f"{str(path)!r} is no file", "give the SAE's own folder")
