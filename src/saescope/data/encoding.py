"""Texts become token ids, many at a time on all cores, with the characters that every token came from."""

import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from ..errors import BadValue

_BATCH = 2_000_000  # characters encoded at once: about 100 bytes of memory for each of their tokens
_BATCH_PIECES = 4096
_LONGEST = 200_000  # characters of a piece of a document
_CUT = re.compile(r"(?<=[^\W\d_]) (?=[^\W\d_])")  # a space between two letters
_LINE = re.compile(r"(?<=\n)(?=\S)")


@dataclass(frozen=True)
class Piece:
    """A document, or a part of a long one, as token ids."""

    document: int
    offset: int
    """Where the piece begins in its document, in characters."""
    length: int
    """How many characters it has."""
    last: bool
    """Whether the document ends with it."""
    ids: np.ndarray
    """int32 token ids."""
    characters: Callable[[int], tuple[int, int]]
    """From which characters of the piece a token came: start and end."""


def plain_backend(tokenizer: Any) -> Tokenizer:
    """The fast tokenizer itself, neither truncating nor padding; the one given is left as it is."""
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if not isinstance(backend, Tokenizer):
        name = type(tokenizer).__name__
        raise BadValue(f"{name} is not a fast tokenizer", "save the model with a tokenizer.json")
    if backend.truncation is not None or backend.padding is not None:
        backend = Tokenizer.from_str(backend.to_str())
        backend.no_truncation()
        backend.no_padding()
    return backend


def encode_documents(backend: Tokenizer, documents: Iterable[tuple[int, str]]) -> Iterator[Piece]:
    """Every document in order, as pieces; while one batch is read, the next is being encoded."""
    drop_space = _starts_words(backend)

    def encode(batch: list[tuple[int, int, str, bool]]) -> list[Any]:
        # The space that a piece begins with goes where the tokenizer puts one before every text itself.
        texts = [text[1:] if drop_space and offset and text[:1] == " " else text for _, offset, text, _ in batch]
        return _encode(backend, texts)

    with ThreadPoolExecutor(1, thread_name_prefix="encode") as ahead:
        waiting = None
        for batch in _batches(documents):
            coming = (batch, ahead.submit(encode, batch))
            if waiting is not None:
                yield from _pieces(*waiting, drop_space)
            waiting = coming
        if waiting is not None:
            yield from _pieces(*waiting, drop_space)


def split_text(text: str, longest: int = _LONGEST) -> Iterator[tuple[int, str]]:
    """Cut a long text where tokens end anyway: before a space between letters, else after a line, else hard.

    One huge text would be encoded on one core, with all its tokens in memory.
    """
    start = 0
    while len(text) - start > longest:
        low, high = start + longest // 2, start + longest
        window = text[low - 1 : high + 1]
        stop = low - 1 + (_last_cut(window) or high - low + 1)
        yield start, text[start:stop]
        start = stop
    yield start, text[start:]


def _last_cut(window: str) -> int:
    for pattern in (_CUT, _LINE):
        cuts = [match.start() for match in pattern.finditer(window)]
        if cuts:
            return cuts[-1]
    return 0


def _batches(documents: Iterable[tuple[int, str]]) -> Iterator[list[tuple[int, int, str, bool]]]:
    batch: list[tuple[int, int, str, bool]] = []
    characters = 0
    for document, text in documents:
        for offset, part in split_text(text):
            batch.append((document, offset, part, offset + len(part) == len(text)))
            characters += len(part)
            if characters >= _BATCH or len(batch) >= _BATCH_PIECES:
                yield batch
                batch, characters = [], 0
    if batch:
        yield batch


def _pieces(batch: list[tuple[int, int, str, bool]], encoded: Any, drop_space: bool) -> Iterator[Piece]:
    for (document, offset, text, last), encoding in zip(batch, encoded.result(), strict=True):
        dropped = int(drop_space and offset > 0 and text[:1] == " ")
        ids = np.array(encoding.ids, dtype=np.int32)
        yield Piece(document, offset + dropped, len(text) - dropped, last, ids, _characters(encoding))


def _characters(encoding: Any) -> Callable[[int], tuple[int, int]]:
    return lambda token: encoding.token_to_chars(token) or (0, 0)


def _starts_words(backend: Tokenizer) -> bool:
    """Whether the tokenizer itself puts a space before a text (Llama 2 and its like do)."""

    def ids(text: str) -> list[int]:
        return _encode(backend, [text])[0].ids

    try:
        return ids("the word") == ids("the") + ids("word")
    except BadValue:
        return False


def _encode(backend: Tokenizer, texts: list[str]) -> list[Any]:
    try:
        return backend.encode_batch(texts, add_special_tokens=False)
    except Exception as error:  # the library raises nothing narrower
        hint = "give the model's own tokenizer files"
        raise BadValue(f"the tokenizer cannot encode a text: {error}", hint) from None
