"""How many samples to reduce at once: the sizes are tried on real activations, with a state that is thrown away.

The size changes memory and speed and never a bit of the answer, so nothing is lost by choosing it from a measurement.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch

from .groups import ActiveBatch
from .meter import peak_bytes
from .state import ExtractionState, Settings
from .sweep import PAIR_LIMIT, join, out_of_memory

SIZES = (32, 64, 128, 256)
"""What `auto` chooses from; fewer where memory or the dataset has no room for 32."""
_NEARLY = 1.05
"""A smaller batch that takes at most this many times as long is preferred: it needs less memory."""
_TRIAL_STATE = 1 << 28
"""Bytes of heaps in a state that is thrown away; where features are many, it keeps fewer rows of each."""
_ROUNDS = 2


@dataclass(frozen=True)
class Trial:
    """One size, tried."""

    size: int
    bytes: int
    """What a batch of this size takes at its peak, itself included."""
    seconds: float
    """For one sample."""


@dataclass(frozen=True)
class Plan:
    """The size chosen, and why."""

    size: int
    why: str
    bytes: int
    seconds: float
    """For one sample of every SAE."""
    trials: tuple[Trial, ...] = ()
    """The sizes tried."""


def plan(
    batches: Sequence[ActiveBatch], settings: Sequence[Settings], device: torch.device | str, room: int, samples: int
) -> Plan:
    """Choose the fastest size that fits into `room` bytes, from each SAE's activations on the same few samples."""
    sizes = sorted({min(size, samples) for size in SIZES})
    trials = list(try_sizes(batches, settings, device, sizes, room))
    fitting = [trial for trial in trials if trial.size in sizes and trial.bytes <= room]
    memory = f"of {_mib(room)} that may be used"
    if not fitting:
        smallest = trials[0]
        size = max(1, int(smallest.size * room / max(smallest.bytes, 1)))
        bytes_ = smallest.bytes * size // smallest.size
        return Plan(size, f"no more fit; it needs {_mib(bytes_)} {memory}", bytes_, smallest.seconds)
    chosen = best(fitting)
    tried = ", ".join(f"{trial.size}: {1 / max(trial.seconds, 1e-9):,.0f}" for trial in fitting)
    why = f"samples/s measured: {tried}; it needs {_mib(chosen.bytes)} {memory}"
    return Plan(chosen.size, why, chosen.bytes, chosen.seconds, tuple(fitting))


def best(trials: Sequence[Trial]) -> Trial:
    """The smallest of those that are about as fast as the fastest; trials of sizes in rising order."""
    fastest = min(trial.seconds for trial in trials)
    return next(trial for trial in trials if trial.seconds <= fastest * _NEARLY)


def forced(
    size: int, why: str, batches: Sequence[ActiveBatch], settings: Sequence[Settings], device: torch.device | str
) -> Plan:
    """A size that was decided elsewhere, with what it costs; beyond the largest of SIZES that is extrapolated."""
    tried = min(size, SIZES[-1])
    (trial,) = try_sizes(batches, settings, device, [tried], None)
    return Plan(size, why, trial.bytes * size // tried, trial.seconds)


def try_sizes(
    batches: Sequence[ActiveBatch],
    settings: Sequence[Settings],
    device: torch.device | str,
    sizes: Iterable[int],
    room: int | None,
) -> Iterable[Trial]:
    """Reduce repeated activations at each size, in rising order, until one does not fit into `room` bytes.

    Where not even the first does, the trial of a single sample is all there is.
    """
    states = [trial_state(each, device) for each in settings]
    warm = _try(batches, states, device, 1)
    last = None
    for size in sizes:
        size = min(size, *((PAIR_LIMIT - 1) // each.d_sae for each in settings))
        expected = (last or warm).bytes * size // (last or warm).size
        if room is not None and expected > room:
            if last is None:
                yield warm
            return
        try:
            last = _try(batches, states, device, size)
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            if last is None:
                yield warm
            return
        yield last


def _try(
    batches: Sequence[ActiveBatch], states: Sequence[ExtractionState], device: torch.device | str, size: int
) -> Trial:
    """Memory in a first round, time as the best of the others; the samples keep new numbers all the while."""
    seconds, most, held = 0.0, 0, 0
    for batch, state in zip(batches, states, strict=True):
        given = repeated(batch, size)

        def once(state: ExtractionState = state, given: ActiveBatch = given) -> None:
            state.update(replace(given, samples=given.samples + state.samples))

        most = max(most, peak_bytes(once, device))
        held += 2 * batch_bytes(given)  # as it waits, and joined
        seconds += min(timed(once, device) for _ in range(_ROUNDS))
    return Trial(size, most + held, seconds / size)


def trial_state(settings: Settings, device: torch.device | str) -> ExtractionState:
    """An empty state with small heaps: most rows are refused by it, as in the long run of a large one."""
    row = 4 * settings.window + 44
    k = max(1, _TRIAL_STATE // (2 * settings.d_sae * row))
    small = {name: min(getattr(settings, name), k) for name in ("top_k", "sampled", "silent")}
    return ExtractionState(replace(settings, **small), device)


def repeated(batch: ActiveBatch, samples: int) -> ActiveBatch:
    """The batch again and again, under sample numbers 0, 1, 2, …, until there are so many samples."""
    times = -(-samples // len(batch))
    several = join([batch] * times).select(0, samples)
    return replace(several, samples=torch.arange(samples, device=batch.samples.device))


def batch_bytes(batch: ActiveBatch) -> int:
    return sum(column.nbytes for column in vars(batch).values())


def timed(work: Callable[[], object], device: torch.device | str) -> float:
    """Seconds that `work` takes, to its end on the device."""
    settle(device)
    clock = time.perf_counter()
    work()
    settle(device)
    return time.perf_counter() - clock


def settle(device: torch.device | str) -> None:
    """Wait until the device has done what it was given."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def _mib(bytes_: float) -> str:
    return f"{bytes_ / 2**30:.1f} GiB" if bytes_ >= 2**30 else f"{bytes_ / 2**20:,.0f} MiB"
