"""One sweep: token rows → the model, once → every SAE → every SAE's state.

The model and the encoder always run on the same blocks and tiles, whatever `vectorization_batch_size` says: that
number decides how many samples are reduced at once, so it changes memory and speed and never a single bit of the
answer.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..errors import BadValue, NoMemory
from ..sae.base import Sae
from .groups import ActiveBatch
from .state import ExtractionState

BLOCK_TOKENS = 4096
"""Tokens of one model pass. Fixed, because matrix products may differ in their last bits from shape to shape."""
MOST_WAITING = 1 << 25
"""Activations that wait for a batch to fill up, at most (0.9 GB); then they are reduced as they are."""
PAIR_LIMIT = 1 << 31


class TokenRows(Protocol):
    """The part of a token store that a sweep reads."""

    @property
    def samples(self) -> int: ...
    @property
    def context(self) -> int: ...
    @property
    def tokens(self) -> np.ndarray: ...
    @property
    def lengths(self) -> np.ndarray: ...

    def valid(self, rows: slice, *, include_special: bool = False) -> np.ndarray: ...


Read = Callable[[Tensor, Sequence[str]], dict[str, Tensor]]


@dataclass
class Reader:
    """One SAE at one hookpoint, and the state it fills."""

    sae: Sae
    hookpoint: str
    state: ExtractionState
    waiting: list[ActiveBatch] = field(default_factory=list)


@dataclass
class Swept:
    """How far the sweep has come. `seconds` adds up over the sweep."""

    samples: int
    tokens: int
    seconds: dict[str, float]
    batch_size: int


def blocks(context: int, start: int, stop: int) -> Iterator[slice]:
    """The row ranges of the model passes: cut where row number × context passes a multiple of BLOCK_TOKENS."""
    size = block_samples(context)
    while start < stop:
        end = min((start // size + 1) * size, stop)
        yield slice(start, end)
        start = end


def block_samples(context: int) -> int:
    """Samples in one full block."""
    return max(1, BLOCK_TOKENS // context)


def sweep(
    read: Read,
    readers: Sequence[Reader],
    rows: TokenRows,
    *,
    start: int = 0,
    stop: int | None = None,
    batch_size: int = 128,
    include_special: bool = False,
    device: torch.device | str = "cpu",
) -> Iterator[Swept]:
    """Pass samples start..stop through the model once and yield after every block, states being up to date.

    `read(token_ids [batch pos], hookpoints)` gives the activations at each hookpoint, [batch pos d_in].
    Raises BadValue when an activation is not finite, NoSpace when memory does not suffice for a single sample.
    """
    stop = rows.samples if stop is None else min(stop, rows.samples)
    hookpoints = list(dict.fromkeys(reader.hookpoint for reader in readers))
    swept = Swept(0, 0, {"model": 0.0, "encode": 0.0, "reduce": 0.0}, batch_size)
    for block in blocks(rows.context, start, stop):
        clock = time.perf_counter()
        ids, valid, lengths = load_block(rows, block, include_special, device)
        activations = read(ids, hookpoints)
        clock = _lap(swept, "model", clock)
        for reader in readers:
            x = activations[reader.hookpoint][valid].float()
            check_finite(x, activations[reader.hookpoint], valid, block, reader.hookpoint)
            reader.waiting.append(encode(reader.sae, x, valid, lengths, block))
            clock = _lap(swept, "encode", clock)
            last = block.stop >= stop
            swept.batch_size = _reduce(reader, swept.batch_size, everything=last)
            clock = _lap(swept, "reduce", clock)
        swept.samples += block.stop - block.start
        swept.tokens += int(valid.sum())
        yield swept


def flush(readers: Sequence[Reader], batch_size: int) -> int:
    """Reduce what still waits, so that a state holds everything swept so far; the size that memory allowed."""
    for reader in readers:
        batch_size = _reduce(reader, batch_size, everything=True)
    return batch_size


def _lap(swept: Swept, phase: str, since: float) -> float:
    now = time.perf_counter()
    swept.seconds[phase] += now - since
    return now


def check_finite(x: Tensor, activations: Tensor, valid: Tensor, block: slice, hookpoint: str) -> None:
    """BadValue, naming sample and position, where a valid token's activation is not a number."""
    if torch.isfinite(x).all():
        return
    bad = (~torch.isfinite(activations).all(-1) & valid).nonzero()[0].tolist()
    raise BadValue(
        f"the model's activation at {hookpoint} is not finite in sample {block.start + bad[0]}, position {bad[1]}",
        "run the model in float32 or bfloat16 (model add --dtype), or leave that sample out",
    )


def load_block(
    rows: TokenRows, block: slice, include_special: bool, device: torch.device | str
) -> tuple[Int[Tensor, "batch pos"], Bool[Tensor, "batch pos"], Int[Tensor, "batch"]]:
    """Token ids, valid tokens and row lengths of a block, as wide as its longest row."""
    lengths = torch.from_numpy(np.asarray(rows.lengths[block], dtype=np.int64))
    width = int(lengths.max())
    ids = torch.from_numpy(np.asarray(rows.tokens[block, :width], dtype=np.int64))
    valid = torch.from_numpy(rows.valid(block, include_special=include_special)[:, :width])
    return ids.to(device), valid.to(device), lengths.to(device)


def encode(sae: Sae, x: Float[Tensor, "n d_in"], valid: Tensor, lengths: Tensor, block: slice) -> ActiveBatch:
    """The non-zero activations of one block, x being those of its valid tokens."""
    sample, position = valid.nonzero(as_tuple=True)
    active = sae.active(x)
    return ActiveBatch(
        samples=torch.arange(block.start, block.stop, device=x.device),
        lengths=lengths,
        valid_tokens=valid.sum(1),
        sample=sample[active.rows],
        position=position[active.rows],
        feature=active.features,
        value=active.values.float(),
    )


def _reduce(reader: Reader, batch_size: int, *, everything: bool) -> int:
    """Hand waiting samples to the state, batch_size at a time; returns the size that memory allowed."""
    if not reader.waiting:
        return batch_size
    full = sum(map(len, reader.waiting)) >= batch_size or sum(len(b.value) for b in reader.waiting) >= MOST_WAITING
    if not everything and not full:
        return batch_size
    everything = everything or sum(map(len, reader.waiting)) < batch_size
    waiting = join(reader.waiting)
    reader.waiting.clear()
    at, n = 0, len(waiting)
    while at < n and (everything or n - at >= batch_size):
        size = min(batch_size, n - at, max(1, (PAIR_LIMIT - 1) // reader.sae.d_sae))
        try:
            apply = reader.state.measure(waiting.select(at, at + size))
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            if size == 1:
                raise NoMemory(
                    "memory does not suffice to reduce a single sample", "use a smaller --top-k, --context or SAE"
                ) from None
            batch_size = max(1, size // 2)
            continue
        apply()
        at += size
    if at < n:
        reader.waiting.append(waiting.select(at, n))
    return batch_size


def join(batches: Sequence[ActiveBatch]) -> ActiveBatch:
    """Batches of consecutive samples as one."""
    if len(batches) == 1:
        return batches[0]
    offsets = np.cumsum([0, *(len(batch) for batch in batches[:-1])]).tolist()
    return ActiveBatch(
        samples=torch.cat([batch.samples for batch in batches]),
        lengths=torch.cat([batch.lengths for batch in batches]),
        valid_tokens=torch.cat([batch.valid_tokens for batch in batches]),
        sample=torch.cat([batch.sample + offset for batch, offset in zip(batches, offsets, strict=True)]),
        position=torch.cat([batch.position for batch in batches]),
        feature=torch.cat([batch.feature for batch in batches]),
        value=torch.cat([batch.value for batch in batches]),
    )


def out_of_memory(error: BaseException) -> bool:
    """Whether an error is torch's or Python's way of saying that memory ran out."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return "not enough memory" in str(error) or "can't allocate memory" in str(error)
