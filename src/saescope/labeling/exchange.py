"""Labels in files: JSON lines, CSV that a spreadsheet opens safely, and Neuronpedia's explanations.

JSON lines and CSV hold one label a line: feature, text, source, model, created, prompt and the scores. Neuronpedia's
rows (`explanations/batch-N.jsonl.gz` of its bulk exports) hold modelId, layer, index, description,
explanationModelName and typeName.
"""

import csv
import gzip
import json
import os
import secrets
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from ..errors import BadSource, BadValue, NameTaken
from ..records import Label, Score

FORMATS = ("auto", "jsonl", "csv", "neuronpedia")
_COLUMNS = ("feature", "text", "source", "model", "created", "prompt")
_CSV_SCORES = ("detection", "fuzzing")
_SCORE_PARTS = ("", "_n", "_low", "_high")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
_LONGEST = 2000
_LARGEST = 1 << 30
"""Bytes of a file once it is unpacked."""


def write_labels(
    labels: Iterable[Label], path: Path, format: str = "auto", *, model: str = "", layer: str = ""
) -> None:
    """Write labels; the file appears when it is whole. Raises BadValue, NameTaken or BadSource."""
    kind = _kind(path, format)
    if path.exists():
        raise NameTaken(f"{str(path)!r} is already there", "give another file, or remove that one first")
    draft = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(draft, "wt", encoding="utf-8", newline="") as file:
            if kind == "csv":
                _write_csv(labels, file)  # type: ignore[arg-type]
            else:
                for label in labels:
                    row = _neuronpedia(label, model, layer) if kind == "neuronpedia" else _row(label)
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")  # type: ignore[arg-type]
        os.replace(draft, path)
    except OSError as error:
        raise BadSource(f"{str(path)!r} cannot be written: {error.strerror}", "give another file") from None
    finally:
        draft.unlink(missing_ok=True)


def read_labels(path: Path, features: int, created: str) -> list[Label]:
    """The labels in a file, whatever the format; BadSource names the first line that is none."""
    kind = _kind(path, "auto")
    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
            rows = _csv_rows(file) if kind == "csv" else _json_rows(file, path)  # type: ignore[arg-type]
            return [_label(row, line, path, features, created) for line, row in rows]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise BadSource(f"{str(path)!r} cannot be read: {reason}", "give a .jsonl, .jsonl.gz or .csv file") from None


def _kind(path: Path, format: str) -> str:
    if format not in FORMATS:
        raise BadValue(f"format: {format!r}", f"use {', '.join(FORMATS)}")
    if format != "auto":
        return format
    name = path.name.lower().removesuffix(".gz")
    kind = {".jsonl": "jsonl", ".csv": "csv"}.get(Path(name).suffix)
    if kind is None:
        raise BadValue(f"{path.name!r}: labels are not kept in such a file", "use .jsonl, .jsonl.gz or .csv")
    return kind


def _row(label: Label) -> dict[str, Any]:
    row = {name: getattr(label, name) for name in _COLUMNS}
    return row | {"scores": {name: score.to_json() for name, score in label.scores.items()}, "shown": label.shown}


def _neuronpedia(label: Label, model: str, layer: str) -> dict[str, Any]:
    return {
        "modelId": model,
        "layer": layer,
        "index": str(label.feature),
        "description": label.text,
        "explanationModelName": label.model,
        "typeName": f"saescope-{label.source}",
    }


def _write_csv(labels: Iterable[Label], file: TextIO) -> None:
    writer = csv.writer(file)
    writer.writerow([*_COLUMNS, *(name + part for name in _CSV_SCORES for part in _SCORE_PARTS)])
    for label in labels:
        cells: list[Any] = [_guarded(getattr(label, name)) for name in _COLUMNS]
        for name in _CSV_SCORES:
            score = label.scores.get(name)
            cells += [score.value, score.n, score.low, score.high] if score else [None] * 4
        writer.writerow(cells)


def _guarded(cell: object) -> object:
    """Text that a spreadsheet would run as a formula gets an apostrophe before it; reading takes it off again."""
    return "'" + cell if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def _unguarded(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell


def _csv_rows(file: TextIO) -> Iterator[tuple[int, Any]]:
    for line, row in enumerate(csv.DictReader(file), 2):
        yield line, {name: _unguarded(cell) if isinstance(cell, str) else cell for name, cell in row.items() if name}


def _json_rows(file: TextIO, path: Path) -> Iterator[tuple[int, Any]]:
    read = 0
    for line, text in enumerate(file, 1):
        read += len(text)
        if read > _LARGEST:
            raise BadSource(f"{path.name!r} unpacks to more than {_LARGEST >> 30} GiB", "split it")
        if text.strip():
            try:
                yield line, json.loads(text)
            except (ValueError, RecursionError):
                raise BadSource(f"{path.name!r}, line {line}: no JSON", "each line holds one JSON object") from None


def _label(row: Any, line: int, path: Path, features: int, created: str) -> Label:
    where = f"{path.name!r}, line {line}"
    if not isinstance(row, dict):
        raise BadSource(f"{where}: no object", "each line holds one label")
    index, text = row.get("feature", row.get("index")), row.get("text", row.get("description"))
    if isinstance(index, bool) or not str(index).isascii() or not str(index).isdigit() or len(str(index)) > 12:
        raise BadSource(
            f"{where}: {index!r} is no feature", "a line needs feature (or index) and text (or description)"
        )
    feature = int(str(index))
    if feature >= features:
        raise BadSource(f"{where}: there is no feature {index}", f"features go from 0 to {features - 1}")
    if not isinstance(text, str) or not text.strip() or len(text) > _LONGEST:
        raise BadSource(f"{where}: no label", f"text (or description) holds 1 to {_LONGEST} characters")
    model = row.get("model") or row.get("explanationModelName")
    origin = {"file": path.name, "source": row.get("source") or row.get("typeName")}
    detail = {"imported": {name: value for name, value in origin.items() if isinstance(value, str)}}
    return Label(
        feature,
        text.strip(),
        "imported",
        model[:200] if isinstance(model, str) else None,
        created,
        detail=detail,
        scores=_scores(row.get("scores")),
    )


def _scores(value: Any) -> dict[str, Score]:
    """The scores that a line brings along; what is no score is left out."""
    kept: dict[str, Score] = {}
    for name, score in value.items() if isinstance(value, dict) else ():
        if not isinstance(score, dict) or len(str(name)) > 40:
            continue
        numbers = [score.get(part) for part in ("value", "low", "high", "chance")]
        counts = [score.get("n"), score.get("failed", 0)]
        if all(_number(each) for each in numbers) and all(isinstance(each, int) for each in counts):
            value, low, high, chance = numbers
            judge, interval = (str(score.get(part, ""))[:200] for part in ("judge", "interval"))
            kept[str(name)] = Score(value, counts[0], low, high, chance, counts[1], judge, interval)  # type: ignore[arg-type]
    return kept


def _number(value: object) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= 1e9)
