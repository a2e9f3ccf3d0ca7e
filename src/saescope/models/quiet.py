"""Keep transformers from drawing its own progress bars and writing pages of advice to a user's terminal."""

import contextlib
import warnings
from collections.abc import Iterable, Iterator
from typing import Any


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Within the block transformers says nothing below an error; its settings are put back afterwards."""
    from transformers import modeling_gguf_pytorch_utils as gguf_reader
    from transformers.utils import logging

    bar = getattr(gguf_reader, "tqdm", None)  # this one bar does not ask whether bars are wanted
    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity(logging.CRITICAL)
    gguf_reader.__dict__["tqdm"] = _no_bar
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        gguf_reader.__dict__["tqdm"] = bar
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _no_bar(items: Iterable[Any], **_: Any) -> Iterable[Any]:
    return items


def in_one_line(error: BaseException, limit: int = 200) -> str:
    """What an error of another library says, as one line of a person's length."""
    said = " ".join(str(error).split()) or type(error).__name__
    return said if len(said) <= limit else said[: limit - 1] + "…"
