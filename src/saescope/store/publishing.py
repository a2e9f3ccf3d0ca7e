"""A thing on its way into the home and the catalogue, or out: all of it or nothing, also when the process is killed.

    work/KIND-ID.lock           held from before a thing is made until after it is listed, and while it is removed
    work/KIND-ID-XXXXXXXX.lock  held while its draft is written (`Home.making`)

A lock that nobody holds is of a process that is gone. Then a draft goes, and a thing goes unless it is listed.
"""

import contextlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from .. import faults
from ..errors import StudioError
from ..home import Home, locked
from . import catalogue, tokenized
from .catalogue import KindName
from .database import Database

_KINDS: dict[str, KindName] = {"datasets": "dataset", "models": "model", "saes": "sae", "extractions": "extraction"}
_THING = re.compile(r"([a-z]+)-([0-9A-Z]{26})")
_DRAFT = re.compile(r"[a-z]+-[0-9A-Za-z]+-[0-9a-f]{8}")


@contextlib.contextmanager
def publishing(home: Home, db: Database, kind: str, id: str) -> Iterator[None]:
    """A block in which a thing is made and listed, or removed; where it ends in between, what is not listed goes."""
    note = home.work / f"{kind}-{id}.lock"
    with locked(note):
        try:
            yield
        except BaseException:
            with contextlib.suppress(StudioError):  # a catalogue that is out of reach: `remove_leftovers` will ask it
                _settle(home, db, kind, id, note)
            raise
        note.unlink(missing_ok=True)


def remove(home: Home, db: Database, kind: KindName, name: str) -> None:
    """Take a thing out of the catalogue and off the disk; WrongRequest while something else is made from it."""
    folder, record = f"{kind}s", catalogue.find(db, kind, name)
    with publishing(home, db, folder, record.id):
        catalogue.remove(db, kind, name)
        faults.point("removing.unlisted")
        _discard(home, db, folder, record.id)


def remove_leftovers(home: Home, db: Database) -> None:
    """Remove what processes that were killed had in the making."""
    for lock in home.work.glob("*.lock"):
        name = lock.name.removesuffix(".lock")
        thing, draft = _THING.fullmatch(name), _DRAFT.fullmatch(name)
        if not draft and not (thing and thing[1] in _KINDS):
            continue  # of a run that can be resumed
        with locked(lock) as alone:
            if not alone:
                continue
            if thing:
                _settle(home, db, thing[1], thing[2], lock)
            else:
                shutil.rmtree(home.work / name, ignore_errors=True)
                lock.unlink(missing_ok=True)
    for grave in home.work.glob("removed-*"):
        shutil.rmtree(grave, ignore_errors=True)


def _settle(home: Home, db: Database, kind: str, id: str, note: Path) -> None:
    """What is listed stays, what is not goes."""
    if not catalogue.listed(db, _KINDS[kind], id):
        _discard(home, db, kind, id)
    note.unlink(missing_ok=True)


def _discard(home: Home, db: Database, kind: str, id: str) -> None:
    """Remove what is kept of a thing that is not listed."""
    home.discard(kind, id)
    if kind == "datasets":
        tokenized.discard_unused(home, db)
    elif kind == "saes":
        home.discard("facts", id)
