"""`--where`: conditions on features such as `density<0.01 and not dead, label~president`.

Conditions are joined by `and` or a comma. Each is FIELD OP NUMBER (OP is one of < <= > >= = !=), `dead`,
`not dead`, `label~WORD` or `label_source~llm`. Nothing is evaluated: the text is read into conditions, and those are
compared column by column.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute

from ..errors import BadValue

pc: Any = pyarrow.compute  # its functions are made when it is imported: no type checker knows them

_HINT = "write conditions such as 'density<0.01 and not dead', joined by 'and' or ','"

_CONDITION = re.compile(
    r"""\s* (?:(?P<no>not)\s+)? (?P<field>[A-Za-z_]\w*) \s*
        (?: (?P<op><=|>=|!=|==|=|<|>|~) \s* (?P<value>"[^"]*"|'[^']*'|[^\s,]+) )?
        \s* (?P<join>,|and\b|$) \s*""",
    re.VERBOSE | re.IGNORECASE,
)

_COMPARE: dict[str, Callable[..., Any]] = {
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
    "=": pc.equal,
    "==": pc.equal,
    "!=": pc.not_equal,
}


@dataclass(frozen=True)
class Condition:
    """One thing that must hold of a feature."""

    field: str
    op: str
    """A comparison, `~` (holds the words, whatever their case), `is` or `is not` (of a yes-or-no field)."""
    value: float | str | None

    def holds(self, column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
        """Yes or no for each row; a row without a value does not hold."""
        if self.op == "~":
            held = pc.match_substring(column, self.value, ignore_case=True)
        elif self.value is None:
            held = column if self.op == "is" else pc.invert(column)
        else:
            held = _COMPARE[self.op](column, self.value)
        return pc.fill_null(held, False)


def parse_where(
    text: str, *, numbers: Collection[str], flags: Collection[str], texts: Collection[str]
) -> list[Condition]:
    """Read conditions on these fields; BadValue says what is wrong and which fields there are."""
    conditions: list[Condition] = []
    position, joined = 0, True
    while position < len(text) or joined:
        match = _CONDITION.match(text, position)
        if match is None:
            raise BadValue(f"where: {text[position:].strip() or text!r} cannot be read", _HINT)
        conditions.append(_condition(match, numbers, flags, texts))
        position, joined = match.end(), bool(match["join"])
    return conditions


def _condition(
    match: re.Match[str], numbers: Collection[str], flags: Collection[str], texts: Collection[str]
) -> Condition:
    written, field, op, value = match[0].strip(" ,"), match["field"].lower(), match["op"], match["value"]
    if field not in {*numbers, *flags, *texts}:
        raise unknown_field("where", field, [*numbers, *flags, *texts])
    if field in flags and op is None:
        return Condition(field, "is not" if match["no"] else "is", None)
    if match["no"] or op is None or field in flags:
        raise BadValue(f"where: {written!r} cannot be read", _HINT)
    if (op == "~") != (field in texts):
        raise BadValue(
            f"where: {field!r} cannot be compared by {op!r}",
            f"{', '.join(texts)} take ~WORD, the others < <= > >= = !=",
        )
    if op == "~":
        return Condition(field, op, value.strip("\"'"))
    try:
        return Condition(field, op, float(value))
    except ValueError:
        raise BadValue(f"where: {value!r} in {written!r} is not a number", _HINT) from None


def unknown_field(option: str, field: str, fields: Collection[str]) -> BadValue:
    """There is no such field; the hint lists those there are."""
    return BadValue(f"{option}: there is no field {field!r}", f"there are: {', '.join(fields)}")
