"""Rules: what a lexical label claims, in a form that a program can check on text it has not seen.

A rule is a small JSON object, kept in the label's detail. It says at which words of a window it holds; one about
a topic holds everywhere in a window that has one of its words, and says nothing of single tokens.
"""

from collections.abc import Callable, Sequence
from typing import Any

from .classes import classes
from .patterns import plain
from .words import SPACE, join, piece, root

Rule = dict[str, Any]


class Window:
    """The tokens of a window as words, ready to be asked."""

    def __init__(self, tokens: Sequence[str], start: int | None = None) -> None:
        words = join(tokens)
        self.keys = [key for key, _, _ in words]
        self.forms = [form for _, form, _ in words]
        self.firsts = [first for _, _, first in words]
        self.spaces = [at for at, token in enumerate(tokens) if piece(token).form == SPACE]
        self.length = len(tokens)
        self.start = start

    def key(self, at: int) -> str:
        return self.keys[at] if 0 <= at < len(self.keys) else ""


def holds(rule: Rule, window: Window) -> set[int]:
    """The tokens of a window on which a rule says the feature is active."""
    places = [at for at in range(len(window.keys)) if _CHECKS[rule["is"]](rule, window, at)]
    tokens: set[int] = set()
    for at in places:
        end = window.firsts[at + 1] if at + 1 < len(window.firsts) else window.length
        tokens.update(range(window.firsts[at], end))
    if rule["is"] == "word" and SPACE in rule["words"]:
        tokens.update(window.spaces)
    return tokens


def tells_tokens(rule: Rule) -> bool:
    """Whether a rule says which token, and not only which window."""
    return rule["is"] != "topic"


def _phrase(rule: Rule, window: Window, at: int) -> bool:
    words, offset = rule["words"], rule["at"]
    offsets = range(len(words)) if offset is None else (offset,)
    return any(at >= step and window.keys[at - step : at - step + len(words)] == words for step in offsets)


def _context(rule: Rule, window: Window, at: int) -> bool:
    first, last = rule["from"], rule["to"]
    return [window.key(at + step) for step in range(first, last)] in rule["words"]


def _opens(rule: Rule, window: Window, at: int) -> bool:
    before = window.key(at - 1)
    return bool(before) and (before[-1] in ".!?↵" or before[0] in ".!?") and window.keys[at][:1].isalnum()


def _early(rule: Rule, window: Window, at: int) -> bool:
    return window.start is not None and window.start + window.firsts[at] <= rule["last"]


def _again(rule: Rule, window: Window, at: int) -> bool:
    key = window.keys[at]
    return not plain(key) and key in window.keys[:at]


_CHECKS: dict[str, Callable[[Rule, Window, int], bool]] = {
    "word": lambda rule, window, at: window.keys[at] in rule["words"],
    "root": lambda rule, window, at: root(window.keys[at]) in rule["words"],
    "stem": lambda rule, window, at: window.keys[at].startswith(rule["part"]),
    "ending": lambda rule, window, at: window.keys[at].endswith(rule["part"]),
    "piece": lambda rule, window, at: rule["part"] in window.keys[at],
    "class": lambda rule, window, at: rule["name"] in classes(window.forms[at]),
    "phrase": _phrase,
    "context": _context,
    "sentence start": _opens,
    "sample start": _early,
    "repeat": _again,
    "topic": lambda rule, window, at: any(word in window.keys for word in rule["words"]),
}
