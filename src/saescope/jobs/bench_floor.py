"""The floor of `bench extract`: what plain transformers and torch take for the least that an extraction needs.

It runs in a process of its own, because what this project tells the C library about memory (`models/allocator.py`)
holds for a whole process and would make the floor faster too.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor
from torch.multiprocessing import get_context

from ..models import load
from ..models.language_model import LanguageModel

_CELLS = 1 << 26
"""Cells of one encoder product: 256 MiB."""


class Floor:
    """A process that times the forward pass and the encoder products of one block after the other."""

    def __init__(self, connection: Any) -> None:
        """connection: this side's end of a pipe."""
        self._connection = connection

    def encoders(self, weights: list[Tensor]) -> None:
        """From now on, multiply with these encoders, [d_in, d_sae] each."""
        self._ask("encoders", weights)

    def time(self, token_ids: Int[Tensor, "batch pos"]) -> tuple[float, float]:
        """Seconds of the forward pass, and of one product for each encoder."""
        return self._ask("time", token_ids)

    def _ask(self, what: str, value: Any) -> Any:
        self._connection.send((what, value))
        answer = self._connection.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer


@contextmanager
def floor_of(options: dict[str, Any], hookpoint: str, threads: int) -> Iterator[Floor]:
    """A floor for the time of a block; `options` are those of `load_model`."""
    spawn = get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(theirs, options, hookpoint, threads), daemon=True)
    process.start()
    theirs.close()
    try:
        yield Floor(ours)
    finally:
        ours.close()
        process.join(10)
        process.terminate()


def _serve(connection: Any, options: dict[str, Any], hookpoint: str, threads: int) -> None:
    """Answer until nobody asks any more."""
    torch.set_num_threads(threads)
    load.keep_freed_memory = lambda: False  # type: ignore[assignment]
    model: LanguageModel | None = None
    encoders: list[Tensor] = []
    while True:
        try:
            what, value = connection.recv()
        except (EOFError, OSError):
            return
        try:
            model = model or load.load_model(**options, faster=False)
            if what == "encoders":
                encoders = [each.to(model.device) for each in value]
                connection.send(None)
            else:
                connection.send(_time(model, hookpoint, encoders, value))
        except Exception as error:  # it is raised again where it was asked for
            connection.send(error)


@torch.inference_mode()
def _time(model: LanguageModel, hookpoint: str, encoders: list[Tensor], token_ids: Tensor) -> tuple[float, float]:
    clock = now()
    x = model.read(token_ids, [hookpoint])[hookpoint]
    forward = now() - clock
    flat, products = x.flatten(0, 1).float(), 0.0
    for encoder in encoders:
        size = min(len(flat), max(1, _CELLS // encoder.shape[1]))
        out = flat.new_empty(size, encoder.shape[1])
        clock = now()
        for part in flat.split(size):
            torch.mm(part, encoder, out=out[: len(part)])
        products += now() - clock
    return forward, products


def now() -> float:
    """The clock, once the device has done what it was asked."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
