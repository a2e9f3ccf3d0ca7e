"""What every format's reader answers with, and the small steps they share."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from ...errors import BadSource
from ..base import SaeConfig
from ..header import TensorHead, one_line
from ..weights import DTYPES

Shape = tuple[int, ...]
Heads = Mapping[str, TensorHead]
Weights = dict[str, Tensor]

CODE_KEYS = ("auto_map", "trust_remote_code", "custom_code")
_LONGEST = 2**20
_MANY = 2**53


@dataclass(frozen=True)
class Found:
    """The files of one SAE. Paths are absolute on a disk, and relative to the repository on a hub."""

    format: str
    folder: Path
    weights: Path
    config: Path | None = None
    mapping: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Reading:
    """How to read an SAE's weights: what its configuration says, before a number is read."""

    cfg: SaeConfig
    shapes: Mapping[str, Shape]
    """Every tensor that is read, under its own name in the file."""
    canonical: Callable[[SaeConfig, Weights], tuple[SaeConfig, Weights]]
    """From those tensors, in float32, to the weights in canonical form, and what they add to the configuration."""
    ignored: tuple[str, ...] = ()
    """Names, or beginnings of names, of tensors that may be there and mean nothing for what an SAE computes."""
    integers: frozenset[str] = field(default_factory=frozenset)
    """Tensors of whole numbers, left as they are."""


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of at most 1 MiB that asks for no code. Raises BadSource."""
    try:
        if not path.is_file():
            raise FileNotFoundError
        if path.stat().st_size > _LONGEST:
            raise bad(path, "it is longer than 1 MiB, which no configuration is")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadSource(f"there is no {path.name} in {str(path.parent)!r}", "give the SAE's own folder") from None
    except OSError as error:
        raise BadSource(f"{str(path)!r} cannot be read: {error.strerror}", "check the path") from None
    except UnicodeDecodeError:
        raise bad(path, "it is not text") from None
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        raise bad(path, "it is empty" if not text.strip() else "it is not whole JSON") from None
    if not isinstance(raw, dict):
        raise bad(path, "it is JSON, but not an object")
    for key in CODE_KEYS:
        if raw.get(key):
            raise bad(path, f"it asks for code from the checkpoint ({key})", "only weights are ever read")
    return raw


def section(path: Path, raw: Mapping[str, Any], key: str) -> dict[str, Any]:
    """An object inside an object; empty where it is not there."""
    inner = raw.get(key)
    if inner is None:
        return {}
    if not isinstance(inner, dict):
        raise bad(path, f"{key} is not an object")
    return inner


def count(path: Path, raw: Mapping[str, Any], key: str) -> int:
    """A positive whole number."""
    number = raw.get(key)
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number < _MANY:
        raise bad(path, f"{key} must be a positive whole number, not {_shown(number)}")
    return number


def positive(path: Path, raw: Mapping[str, Any], key: str) -> float:
    """A number above 0, and not beyond all measure."""
    number = raw.get(key)
    if not isinstance(number, int | float) or isinstance(number, bool) or not 0 < number < _MANY:
        raise bad(path, f"{key} must be a number above 0, not {_shown(number)}")
    return float(number)


def yes_or_no(path: Path, raw: Mapping[str, Any], key: str, default: bool) -> bool:
    answer = raw.get(key, default)
    if not isinstance(answer, bool):
        raise bad(path, f"{key} must be true or false, not {_shown(answer)}")
    return answer


def words(raw: Mapping[str, Any], key: str) -> str:
    """A text; empty where there is none."""
    value = raw.get(key)
    return value[:500] if isinstance(value, str) else ""


def one_of(path: Path, raw: Mapping[str, Any], key: str, known: tuple[str, ...], default: str | None = None) -> str:
    """One of a few words."""
    value = raw.get(key, default)
    if not isinstance(value, str) or value not in known:
        raise bad(path, f"{key} is {_shown(value)}, which is not supported", f"supported are {', '.join(known)}")
    return value


def check_k(path: Path, k: int | None, d_sae: int) -> None:
    """BadSource where more features should win than there are."""
    if k is not None and k > d_sae:
        raise bad(path, f"k is {k}, but there are only {d_sae} features")


def sides(path: Path, heads: Heads, name: str) -> tuple[int, int]:
    """The two sides of a matrix, where a format has no configuration that says them."""
    if name not in heads:
        raise bad(path, f"it has no tensor {name!r}", "give a file of the format it is said to be")
    shape = heads[name].shape
    if len(shape) != 2 or 0 in shape:
        raise bad(path, f"{name} should be a matrix, and is {list(shape)}")
    return shape[0], shape[1]


def stored_dtype(heads: Heads, name: str) -> str:
    """The type that a file holds its weights in, told by one of them."""
    return DTYPES.get(heads[name].dtype, "float32") if name in heads else "float32"


def bad(path: Path, why: str, hint: str = "give the folder of an SAE as its library wrote it") -> BadSource:
    return BadSource(f"{str(path)!r}: {one_line(why)}", hint)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:80] + "…"
