"""Every token of a tokenizer as a person would read it: with its leading space, one string per id."""

import json
from typing import Any

_SENTENCEPIECE_SPACE = "\u2581"


def vocabulary(tokenizer: Any) -> list[str]:
    """The string of every token id, in order.

    Byte-level pieces become text (a piece that is half a character shows as U+FFFD); SentencePiece's mark becomes a
    space. `tokenizer` is a transformers fast tokenizer or a `tokenizers.Tokenizer`.
    """
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    size = max(backend.get_vocab(with_added_tokens=True).values(), default=-1) + 1
    added = {id for id, token in backend.get_added_tokens_decoder().items()}
    to_text = _from_bytes if _byte_level(backend) else _from_pieces
    strings = []
    for id in range(size):
        piece = backend.id_to_token(id)
        strings.append("" if piece is None else piece if id in added else to_text(piece))
    return strings


def _byte_level(backend: Any) -> bool:
    """Whether pieces are written in GPT-2's alphabet of bytes."""
    state = json.loads(backend.to_str())
    return "ByteLevel" in json.dumps([state.get("decoder"), state.get("pre_tokenizer")])


def _from_bytes(piece: str) -> str:
    try:
        return bytes(_BYTE_OF[character] for character in piece).decode("utf-8", "replace")
    except KeyError:
        return piece


def _from_pieces(piece: str) -> str:
    if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
        return bytes([int(piece[3:5], 16)]).decode("utf-8", "replace")
    return piece.replace(_SENTENCEPIECE_SPACE, " ")


def _alphabet() -> dict[str, int]:
    """GPT-2's reversible byte alphabet (Radford et al. 2019): printable bytes stand for themselves."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    table = {chr(byte): byte for byte in printable}
    return table | {chr(256 + index): byte for index, byte in enumerate(others)}


_BYTE_OF = _alphabet()
