"""Features of an extraction: pages of them, all as points, one with its examples; labels, stars, notes, downloads."""

import tempfile
from pathlib import Path as File
from typing import Annotated, Any, Literal

import anyio.to_thread
import numpy as np
from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response

from ..errors import BadValue
from ..records import Label
from ..store import looking, marks
from ..store.export import export_features
from ..store.labels import add_labels, choose_label, current_label_columns, label_history
from .answers import cached, dumps, json
from .ask import asked
from .examples import examples_json
from .memory import give_back
from .quick import quick
from .site import Site, TheSite, now

router = APIRouter(prefix="/extractions/{extraction}", tags=["features"])

Index = Annotated[int, Path(ge=0, lt=2**31)]
Words = Annotated[str | None, Query(max_length=2000)]


class Text(BaseModel):
    """A line a person wrote."""

    text: str = Field(max_length=marks.LONGEST_NOTE)


class Chosen(BaseModel):
    """One label of a feature's history."""

    id: int = Field(ge=0, lt=2**63)


@router.get("/features")
@quick
def features(
    extraction: str,
    site: TheSite,
    request: Request,
    offset: Annotated[int, Query(ge=0, lt=2**31)] = 0,
    limit: Annotated[int, Query(ge=0, le=1000)] = 50,
    sort: Words = None,
    where: Words = None,
    search: Words = None,
    around: Annotated[int | None, Query(ge=0, lt=2**31)] = None,
) -> Response:
    """A page of the features that match, in order; `position` is where the feature `around` stands among them."""
    record, browse = site.browse(extraction)

    def make() -> bytes:
        order = browse.order(where, search, sort)
        position = None
        if around is not None:
            at = np.flatnonzero(order == around)
            position = int(at[0]) if len(at) else None
        page = browse.rows(order[offset : offset + limit]) if limit else []
        return dumps({"total": record.features, "matching": len(order), "position": position, "features": page})

    return cached(request, f"{record.id} {browse.version} {request.url.query}", make)


@router.get("/points")
def points(extraction: str, site: TheSite, request: Request) -> Response:
    """All features as columns: float32 density, max, mean, score (NaN: none), then uint8 starred; little-endian."""
    record, browse = site.browse(extraction)

    def make() -> bytes:
        numbers = [browse.column(name).astype("<f4").tobytes() for name in ("density", "max", "mean", "score")]
        return b"".join(numbers) + browse.column("starred").astype(np.uint8).tobytes()

    return cached(request, f"points {record.id} {browse.version}", make, "application/octet-stream")


@router.get("/matching")
@quick
def matching(extraction: str, site: TheSite, request: Request, where: Words = None, search: Words = None) -> Response:
    """Which features match: one bit each, the lowest bit of a byte first."""
    record, browse = site.browse(extraction)

    def make() -> bytes:
        held = np.zeros(record.features, np.uint8)
        held[browse.order(where, search)] = 1
        return np.packbits(held, bitorder="little").tobytes()

    tag = f"matching {record.id} {browse.version} {request.url.query}"
    return cached(request, tag, make, "application/octet-stream")


@router.get("/features/export", operation_id="export_features_long")
@router.get("/export", operation_id="export_features")
async def export(
    extraction: str,
    site: TheSite,
    format: Literal["csv", "parquet", "jsonl"] = "csv",
    sort: Words = None,
    where: Words = None,
    search: Words = None,
) -> Response:
    """The features that match as a file, with their labels."""
    asked = (site, extraction, format, where, search, sort)
    return await anyio.to_thread.run_sync(_exported, *asked, limiter=site.downloading)


def _exported(
    site: Site, extraction: str, format: str, where: str | None, search: str | None, sort: str | None
) -> Response:
    record, browse = site.browse(extraction)
    order = browse.order(where, search, sort)
    folder = tempfile.TemporaryDirectory(dir=site.home.work, prefix="download-")
    file = File(folder.name) / f"features.{format}"
    try:
        export_features(browse.store, current_label_columns(site.db, record.id), file, rows=order)
    except BaseException:
        folder.cleanup()
        raise
    finally:
        give_back()
    return FileResponse(file, filename=f"{record.name}.{format}", background=BackgroundTask(folder.cleanup))


@router.get("/features/{index}")
@quick
def feature(extraction: str, index: Index, site: TheSite, request: Request) -> Response:
    """Everything known of one feature."""
    record, browse = site.browse(extraction)

    def make() -> bytes:
        shown = looking.about_feature(site.db, record, browse.store, browse.strings, index, browse=browse)
        for label in shown["labels"]:
            label["current"] = label["shown"]
        current = next((label for label in shown["labels"] if label["shown"]), None)
        score = current["scores"].get("detection", {}).get("value") if current else None
        more = {
            "starred": browse.starred(index),
            "note": browse.notes.get(index),
            "label_source": current["source"] if current else None,
            "score": shown["clarity"] if score is None else score,
        }
        return dumps(shown | more)[:-1] + b',"examples":' + examples_json(browse, index) + b"}"

    return cached(request, f"feature {record.id} {browse.version} {index}", make)


@router.get("/features/{index}/examples")
@quick
def examples(extraction: str, index: Index, site: TheSite, request: Request, stratum: str | None = None) -> Response:
    """A feature's examples, or those of one stratum: top, q4, q3, q2, q1 or none."""
    record, browse = site.browse(extraction)
    return cached(request, f"examples {record.id} {index} {stratum}", lambda: examples_json(browse, index, stratum))


@router.get("/features/{index}/neighbors")
async def neighbors(extraction: str, index: Index, site: TheSite, request: Request) -> Response:
    """The features most like one, found by the worker where the extraction does not hold them (very large SAEs)."""
    record, browse = await anyio.to_thread.run_sync(site.browse, extraction)
    held = await anyio.to_thread.run_sync(browse.store.feature, index, ("neighbor_ids", "neighbor_cosines"))
    if not held["neighbor_ids"]:
        return json(await asked(site, "find_neighbors", {"extraction": record.name, "feature": index}))
    named = await anyio.to_thread.run_sync(browse.labels_of, held["neighbor_ids"])
    near = zip(held["neighbor_ids"], held["neighbor_cosines"], strict=True)
    return json({"neighbors": [{"index": one, "cosine": cosine, "label": named[one]} for one, cosine in near]})


@router.put("/features/{index}/star", status_code=204)
def star(extraction: str, index: Index, site: TheSite) -> Response:
    """Star a feature."""
    marks.star(site.writable, *_checked(site, extraction, index), True)
    return Response(status_code=204)


@router.delete("/features/{index}/star", status_code=204)
def unstar(extraction: str, index: Index, site: TheSite) -> Response:
    """Take a star away."""
    marks.star(site.writable, *_checked(site, extraction, index), False)
    return Response(status_code=204)


@router.put("/features/{index}/note")
def note(extraction: str, index: Index, body: Text, site: TheSite) -> Response:
    """Keep a note; an empty one is removed, and answered by null."""
    return json(marks.write_note(site.writable, *_checked(site, extraction, index), body.text))


@router.post("/features/{index}/labels", status_code=201)
def label(extraction: str, index: Index, body: Text, site: TheSite) -> Response:
    """Label a feature yourself: it becomes the label shown."""
    text = " ".join(body.text.split())
    if not text or len(text) > 500:
        raise BadValue(f"text: {len(text)} characters", "write 1 to 500")
    id, feature = _checked(site, extraction, index)
    add_labels(site.writable, id, [Label(feature, text, "person", None, now(), None, {})])
    newest = max(label_history(site.writable, id, feature), key=lambda label: label.id or 0)
    choose_label(site.writable, id, feature, None)
    return json(newest.to_json(), 201)


@router.put("/features/{index}/label")
def choose(extraction: str, index: Index, body: Chosen, site: TheSite) -> Response:
    """Show another label of the history."""
    id, feature = _checked(site, extraction, index)
    choose_label(site.writable, id, feature, body.id)
    return json({"id": body.id})


@router.get("/labels")
def labels(extraction: str, site: TheSite, request: Request) -> Response:
    """The label shown of every feature that has one: one list a column."""
    record, browse = site.browse(extraction)

    def make() -> bytes:
        return dumps(current_label_columns(site.db, record.id).to_pydict())

    return cached(request, f"labels {record.id} {browse.version}", make)


def _checked(site: Any, extraction: str, index: int) -> tuple[str, int]:
    """The extraction's id and the feature's index; NotFound where there is none."""
    record, browse = site.browse(extraction)
    browse.store.check(index)
    return record.id, index
