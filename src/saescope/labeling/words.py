"""Tokens into words: pieces joined, case folded, nothing that could disturb a terminal left in."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from .classes import FUNCTION_WORDS

LONGEST_WORD = 28
"""Characters of one word that a label shows."""

SPACE = "␣"
_WHITESPACE = {"\n": "↵", "\r": "", "\t": "⇥"}


class Piece(NamedTuple):
    """One token, ready to be joined with its neighbours."""

    joins: bool
    """It goes on with the word before it, if that word is still open."""
    open: bool
    """A word that it ends may go on."""
    form: str
    """What is shown."""
    key: str
    """What is compared: the form without case; nothing for a space, which belongs to the word behind it."""


@lru_cache(maxsize=200_000)
def piece(token: str) -> Piece:
    """Read one token, given with its leading space."""
    form = visible(token)
    joins = bool(token) and _in_word(token[0])
    key = "" if form == SPACE else form.casefold()
    return Piece(joins, bool(token) and _in_word(token[-1]), form, key)


def _in_word(character: str) -> bool:
    """Letters and digits of scripts that put spaces between words, and marks that sit on letters."""
    return (character.isalnum() and character < "\u2e80") or unicodedata.category(character) == "Mn"


def visible(text: str) -> str:
    """Text without outer spaces, control, bidirectional and other invisible characters; line breaks as ↵."""
    kept = []
    for character in text:
        if character in _WHITESPACE:
            kept.append(_WHITESPACE[character])
        elif character.isspace():
            kept.append(" ")
        elif unicodedata.category(character)[0] != "C":
            kept.append(character)
    form = "".join(kept).strip()
    while "↵↵" in form:
        form = form.replace("↵↵", "↵")
    return form or (SPACE if any(character.isspace() for character in text) else "")


def shown(word: str) -> str:
    """A word in quotation marks, cut when it is very long."""
    if len(word) > LONGEST_WORD:
        word = word[: LONGEST_WORD - 1] + "…"
    return f"“{word}”"


_ENDINGS = (("ies", 3), ("ing", 4), ("ed", 4), ("es", 4), ("s", 3), ("ly", 4), ("e", 4), ("y", 3))
"""Endings, and how many letters must be left."""


@lru_cache(maxsize=200_000)
def root(key: str) -> str:
    """A word without the commonest English endings, so that its forms are counted as one; crude on
    purpose."""
    if key in FUNCTION_WORDS or not key.isalpha():
        return key
    for ending, left in (
        ("ies", 3),
        ("ing", 4),
        ("ed", 4),
        ("es", 4),
        ("s", 3),
        ("ly", 4),
        ("e", 4),
        ("y", 3),
    ):
        if key.endswith(ending) and len(key) - len(ending) >= left and not key.endswith("ss"):
            return key[: -len(ending)]
    return key


def spell(words: Iterable[str]) -> str:
    """Words in a row, with spaces where print has them."""
    text = ""
    for word in words:
        tight = not text or word[:1] in ",.;:!?)]}%’'" or text[-1] in "([{$£€“‘" or _between_digits(text, word)
        text += word if tight else " " + word
    return text


def _between_digits(text: str, word: str) -> bool:
    """1,000 and 2.5 are written in one."""
    return len(text) > 1 and text[-1] in ",." and text[-2].isdigit() and word[:1].isdigit()


def count_words(texts: Iterable[Sequence[str]]) -> Counter[str]:
    """How often each word stands in a corpus given as rows of tokens: the background of `describe`."""
    counts: Counter[str] = Counter()
    for tokens in texts:
        counts.update(key for key, _, _ in join(tokens))
    return counts


def join(tokens: Sequence[str]) -> list[tuple[str, str, int]]:
    """The words of a row of tokens: (key, form, index of the first token)."""
    words: list[tuple[str, str, int]] = []
    going = False
    for index, token in enumerate(tokens):
        read = piece(token)
        if going and read.joins:
            key, form, first = words[-1]
            words[-1] = (key + read.key, form + read.form, first)
        elif read.key:
            words.append((read.key, read.form, index))
        going = read.open
    return words
