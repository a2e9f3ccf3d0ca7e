"""Named places in the code where a test may have this process killed: what is left there has to be right.

    SAESCOPE_FAULT=train.step:40            kill -9 of this process when it comes to that place the 40th time
    SAESCOPE_FAULT=train.step:40:SIGSTOP    freeze it there

Without the variable a point costs one comparison.
"""

import os
import signal
import threading

POINTS = frozenset(
    {
        # the job's row
        "claim.writing",
        "claim.committed",
        "beat.writing",
        "kept.writing",
        "end.writing",
        "end.committed",
        "release.writing",
        # a thing's way into the home and the catalogue
        "making.written",
        "making.synced",
        "making.renamed",
        "listing.writing",
        "listing.committed",
        "removing.unlisted",
        "whole.written",
        # an extraction
        "extract.block",
        "extract.swept",
        "state.written",
        "state.aside",
        "state.placed",
        # a training
        "train.step",
        "train.trained",
        "metrics.cut",
        "checkpoint.written",
        "checkpoint.placed",
        # both
        "work.clearing",
    }
)

_name, _nth, _signal = f"{os.environ.get('SAESCOPE_FAULT', '')}::".split(":")[:3]
_left = int(_nth or 1)
_one_at_a_time = threading.Lock()


def point(name: str) -> None:
    """A place of `POINTS` that has been reached."""
    if name == _name:
        _count()


def _count() -> None:
    global _left
    with _one_at_a_time:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.Signals[_signal or "SIGKILL"])
