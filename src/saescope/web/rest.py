"""Health, machine, settings, search and uploads."""

import os
import re
import shutil
from typing import Any

import psutil
from fastapi import APIRouter, Request
from starlette.responses import Response

from ..errors import BadValue
from ..home import new_id, no_space
from ..store import catalogue, llm_endpoints, marks
from ..version import VERSION
from .answers import json
from .site import Site, TheSite

router = APIRouter(tags=["studio"])

SUFFIXES = (".txt", ".jsonl", ".csv", ".parquet")


@router.get("/health")
def health() -> Response:
    """Whether the studio answers."""
    return json({"ok": True, "version": VERSION})


@router.get("/machine")
def machine(site: TheSite) -> Response:
    """What this machine has."""
    memory, disk = psutil.virtual_memory(), shutil.disk_usage(site.home.root)
    return json(
        {
            "cpu": os.cpu_count(),
            "memory_bytes": memory.total,
            "memory_free_bytes": memory.available,
            "device": None,
            "device_memory_bytes": None,
            "disk_free_bytes": disk.free,
            "version": VERSION,
            "home": str(site.home.root),
        }
    )


@router.get("/settings")
def settings(site: TheSite) -> Response:
    """What a person has set."""
    return json(_settings(site))


def _settings(site: Site) -> dict[str, Any]:
    return {"llm": [record.to_json() for record in llm_endpoints.endpoints(site.db)]} | marks.settings(site.db)


@router.put("/settings")
def set_settings(body: dict[str, Any], site: TheSite) -> Response:
    """Set some settings; null removes one. Keys and passwords are not kept here."""
    if len(body) > 100 or any(not re.fullmatch(r"[a-z][a-z0-9_.-]{0,63}", name) for name in body):
        raise BadValue("settings: a name is wrong", "use small letters, digits, '.', '_' and '-', 64 at most")
    marks.set_settings(site.writable, body)
    return json(_settings(site))


@router.get("/search")
def search(site: TheSite, q: str, extraction: str | None = None, limit: int = 5) -> Response:
    """What has these words: features of an extraction, and things of the home by name."""
    limit = max(0, min(limit, 50))
    words = q.lower().split()
    found: dict[str, Any] = {}
    kinds = {"datasets": catalogue.datasets, "models": catalogue.models, "saes": catalogue.saes,
             "extractions": catalogue.extractions}  # fmt: skip
    for kind, every in kinds.items():
        hits = [record.name for record in every(site.db) if all(word in record.name.lower() for word in words)]
        found[kind] = {"total": len(hits), "items": hits[:limit]}
    if extraction is not None and words:
        _, browse = site.browse(extraction)
        order = browse.order(search=q, sort="-score")
        rows = browse.rows(order[:limit])
        named = q.strip().removeprefix("#")
        if named.isascii() and named.isdigit() and int(named) < browse.store.total:
            exact = browse.order()[[int(named)]]
            rows = (browse.rows(exact) + [row for row in rows if row["index"] != int(named)])[:limit]
        found["features"] = {"total": len(order), "items": rows}
    return json(found)


@router.post("/uploads", status_code=201)
async def upload(name: str, request: Request, site: TheSite) -> Response:
    """Keep a file of text in the home, as it comes; its path can be the source of a dataset."""
    suffix = os.path.splitext(name)[1].lower()
    if suffix not in SUFFIXES:
        raise BadValue(f"{name!r}: cannot read {suffix or 'a file without suffix'!r}", f"use {', '.join(SUFFIXES)}")
    folder = site.home.root / "uploads"
    file = folder / f"{new_id()}{suffix}"
    draft = file.with_suffix(".part")
    try:
        folder.mkdir(exist_ok=True)
        with open(draft, "wb") as opened:
            async for chunk in request.stream():
                opened.write(chunk)
        draft.replace(file)
    except OSError as error:
        raise no_space(error, folder) or error from None
    finally:
        draft.unlink(missing_ok=True)
    return json({"path": str(file), "bytes": file.stat().st_size}, 201)
