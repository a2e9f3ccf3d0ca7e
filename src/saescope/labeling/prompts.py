"""Prompts: files of two parts, `# system` and `# user`, with $placeholders; named, and versioned by their content."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import NamedTuple

from ..errors import BadSource, BadValue, NameTaken, NotFound
from .words import visible

NEEDS = {
    "explain": {"active"},
    "explain-contrastive": {"active", "silent"},
    "detection": {"label", "snippets", "count"},
    "fuzzing": {"label", "snippets", "count"},
    "simulation": {"label", "snippets", "count"},
    "intruder": {"snippets", "count"},
}
"""Every prompt of the package, and the placeholders that it cannot do without."""
_KNOWN = {"active", "silent", "writes", "label", "snippets", "count"}
_DECODER = json.JSONDecoder()
_PARTS = re.compile(r"\A\s*# system\n(?P<system>.*?)^# user\n(?P<user>.*)\Z", re.DOTALL | re.MULTILINE)


class Rendered(NamedTuple):
    """What is sent, and what has to come back."""

    system: str
    user: str
    numbers: int = 0
    """How many numbers an answer has; 0 for a label."""
    largest: int = 1
    """They go from 0 to this."""

    def accepts(self, answer: str) -> bool:
        """Whether an answer is what was asked for."""
        return (read_numbers(answer, self.numbers, self.largest) if self.numbers else read_label(answer)) is not None

    @property
    def schema(self) -> dict[str, object]:
        """The form of the answer, as a JSON schema."""
        number = {"type": "integer", "minimum": 0, "maximum": self.largest}
        numbers = {"type": "array", "items": number, "minItems": self.numbers, "maxItems": self.numbers}
        name, value = ("answers", numbers) if self.numbers else ("label", {"type": "string"})
        return {"type": "object", "properties": {name: value}, "required": [name], "additionalProperties": False}

    @property
    def max_tokens(self) -> int:
        """Room for the answer, and for some words around it."""
        return 60 + 4 * self.numbers if self.numbers else 200


@dataclass(frozen=True)
class Prompt:
    """A prompt that can be filled in."""

    name: str
    text: str

    @property
    def version(self) -> str:
        """NAME@HASH: another text is another version."""
        return f"{self.name}@{hashlib.blake2b(self.text.encode(), digest_size=4).hexdigest()}"

    def render(self, count: int = 0, largest: int = 1, **values: str) -> Rendered:
        """Fill it in. What is filled in is never looked at for placeholders."""
        parts = _PARTS.match(self.text)
        assert parts is not None
        values |= {"count": str(count)} if count else {}
        texts = [Template(parts[part]).substitute(values).strip() for part in ("system", "user")]
        return Rendered(texts[0], texts[1], count, largest)


def load_prompt(source: str, kind: str) -> Prompt:
    """A prompt of the package by name, or one from a file; `kind` says which placeholders it needs."""
    if source in NEEDS:
        return _checked(Prompt(source, _packaged(source)), kind)
    path = Path(source)
    if path.suffix not in (".md", ".txt"):
        raise NotFound(f"there is no prompt {source!r}", f"there are: {', '.join(NEEDS)}; or name a .md or .txt file")
    try:
        return _checked(Prompt(path.stem, path.read_text("utf-8")), kind)
    except (OSError, UnicodeDecodeError):
        raise BadSource(f"prompt {source!r} cannot be read", "give a text file in UTF-8") from None


def list_prompts() -> list[Prompt]:
    """Every prompt of the package."""
    return [Prompt(name, _packaged(name)) for name in NEEDS]


def copy_prompt(name: str, path: Path) -> Prompt:
    """Write a prompt of the package to a file, to be changed there."""
    prompt = load_prompt(name, name)
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(prompt.text)
    except FileExistsError:
        raise NameTaken(f"{str(path)!r} is already there", "give another file") from None
    except OSError as error:
        raise BadSource(f"{str(path)!r} cannot be written: {error.strerror}", "give another file") from None
    return prompt


def data_block(lines: Sequence[str]) -> str:
    """Lines of documents between two fences that no document can hold: the fence is a hash of all of them."""
    fence = hashlib.blake2b("\n".join(lines).encode(), digest_size=6).hexdigest()
    return "\n".join([f"---- data {fence} ----", *lines, f"---- end of data {fence} ----"])


def snippet(tokens: Sequence[str], marks: Sequence[int] = ()) -> str:
    """One line of text; runs of marked tokens stand between « and », which the text itself has as ‹ and ›."""
    text, marked = "", set(marks)
    for at, token in enumerate(tokens):
        shown = _one_line(token)
        if at in marked and at - 1 not in marked:
            lead = shown[: len(shown) - len(shown.lstrip())]
            text += lead + "«" + shown[len(lead) :]
        else:
            text += shown
        if at in marked and at + 1 not in marked:
            text += "»"
    return text.strip()


def read_label(answer: str) -> str | None:
    """The label in an answer: one plain line, at most 200 characters; None where there is none."""
    value = _json(answer).get("label")
    if not isinstance(value, str):
        return None
    text = " ".join(visible(value).split())
    return text[:200] or None


def read_numbers(answer: str, count: int, largest: int = 1) -> list[int] | None:
    """Exactly `count` whole numbers from 0 to `largest`; anything else is no answer at all."""
    values = _json(answer).get("answers")
    if not isinstance(values, list) or len(values) != count:
        return None
    sound = all(isinstance(value, int) and 0 <= value <= largest for value in values)
    return [int(value) for value in values] if sound else None


def read_answers(answer: str, count: int) -> list[bool] | None:
    """Exactly `count` yes or no; anything else is no answer at all."""
    numbers = read_numbers(answer, count)
    return None if numbers is None else [bool(number) for number in numbers]


def _json(answer: str) -> dict[str, object]:
    """The JSON object in an answer: thoughts, a fence or words around it are cut off; nothing else is guessed."""
    text = answer.rpartition("</think>")[2]
    start, end = text.find("{"), text.rfind("}")
    if start < 0:
        return {}
    for piece in (text[start : end + 1], text[start:]):
        try:
            value, _ = _DECODER.raw_decode(piece)
        except (ValueError, RecursionError):
            continue
        return value if isinstance(value, dict) else {}
    return {}


def _one_line(token: str) -> str:
    """A token with its leading space, without line breaks, control characters or marks of ours."""
    form = visible(token).replace("«", "‹").replace("»", "›")
    space = " " if token[:1] == " " and form else ""
    return " " if form == "␣" else space + form


def _packaged(name: str) -> str:
    return files("saescope.labeling").joinpath("prompts", f"{name}.md").read_text("utf-8")


def _checked(prompt: Prompt, kind: str) -> Prompt:
    if _PARTS.match(prompt.text) is None:
        raise BadValue(
            f"prompt {prompt.name!r} has not the parts '# system' and '# user'", "see `saescope prompts show explain`"
        )
    template = Template(prompt.text)
    if not template.is_valid():
        raise BadValue(f"prompt {prompt.name!r} has a $ that is no placeholder", "write $$ for a dollar sign")
    names = set(template.get_identifiers())
    if missing := sorted(NEEDS[kind] - names):
        raise BadValue(f"prompt {prompt.name!r} lacks ${missing[0]}", f"{kind} needs {', '.join(sorted(NEEDS[kind]))}")
    if unknown := sorted(names - _KNOWN):
        raise BadValue(
            f"prompt {prompt.name!r}: nothing is called ${unknown[0]}", f"known: {', '.join(sorted(_KNOWN))}"
        )
    return prompt
