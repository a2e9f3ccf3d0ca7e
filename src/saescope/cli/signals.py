"""Ctrl-C and SIGTERM while something long runs: the first asks it to stop where it is whole, the second stops it."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def asking(stop: Callable[[], bool], terminated: Callable[[], None]) -> Iterator[None]:
    """Within the block, a signal calls `stop`; where that says False, or again, it is a KeyboardInterrupt.

    terminated: called when the signal was SIGTERM, which ends with exit code 0.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if number == signal.SIGTERM:
            terminated()
        if asked or not stop():
            raise KeyboardInterrupt
        asked = True

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
