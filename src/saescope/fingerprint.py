"""Content hashes: of files, of parts of a key, of a tokenizer. One fingerprint, one thing."""

import hashlib
import json
import os
from typing import Any

import xxhash

_CHUNK = 1 << 20


def file_hash(path: str | os.PathLike[str]) -> str:
    """The hash of a file's bytes (XXH3, 128 bits), 32 hexadecimal digits; OSError where it cannot be read."""
    hasher = xxhash.xxh3_128()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            hasher.update(chunk)
    return hasher.hexdigest()


def content_hash(*parts: str | bytes | int | float | bool | None) -> str:
    """The hash of a sequence of plain values (SHA-256), 64 hexadecimal digits.

    Type and length of every part are hashed with it: ("ab", "c"), ("a", "bc") and ("1",), (1,) all differ.
    """
    hasher = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else repr(part).encode("utf-8", "surrogatepass")
        hasher.update(f"{type(part).__name__}:{len(data)}:".encode())
        hasher.update(data)
    return hasher.hexdigest()


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """The hash of what a fast tokenizer does with text, and of its BOS, EOS and padding ids; 64 digits.

    `tokenizer` is a transformers fast tokenizer or a `tokenizers.Tokenizer`. Truncation and padding are left
    out: they are settings of a call, and other code changes them in passing.
    """
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    state = json.loads(backend.to_str())
    state.pop("truncation", None)
    state.pop("padding", None)
    ids = [getattr(tokenizer, name, None) for name in ("bos_token_id", "eos_token_id", "pad_token_id")]
    return content_hash(json.dumps(state, sort_keys=True, ensure_ascii=True), *ids)
