"""Which features a request means: `all`, or indices and ranges such as `0-99,512`."""

import re

from ..errors import BadValue, NotFound

_PART = re.compile(r"\s*([0-9]{1,12})\s*(?:-\s*([0-9]{1,12})\s*)?")


def parse_features(text: str, total: int) -> list[int]:
    """The feature indices that `text` names, ascending and each once.

    Raises BadValue where it is not `all`, indices and ranges, and NotFound for an index at or above `total`.
    """
    hint = "write all, or indices and ranges such as 0-99,512"
    if text.strip().casefold() == "all":
        return list(range(total))
    chosen: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise BadValue(f"features: {part.strip()!r} is neither an index nor a range", hint)
        first = int(match[1])
        last = int(match[2]) if match[2] else first
        if last < first:
            raise BadValue(f"features: the range {part.strip()!r} runs backwards", f"write {last}-{first}")
        if last >= total:
            hint = f"features are numbered 0 to {total - 1}" if total else "there are no features"
            raise NotFound(f"there is no feature {last} among {total}", hint)
        chosen.update(range(first, last + 1))
    return sorted(chosen)
