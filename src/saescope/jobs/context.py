"""What every job is handed: the home, the catalogue, a place to tell progress, and what is already loaded."""

import contextlib
import copy
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from .. import records
from ..data.tokens import TokenStore, token_store_key, tokenize
from ..data.vocabulary import vocabulary
from ..errors import BadValue, BrokenHome, Interrupted, Mismatch
from ..home import Home
from ..models.language_model import LanguageModel
from ..models.load import load_model
from ..records import Progress
from ..sae.base import Sae
from ..sae.files import read_sae
from ..specs import Packing
from ..store import catalogue, tokenized
from ..store.database import Database
from ..store.features import FeatureStore
from ..store.publishing import publishing
from .runs import Runs

Tell = Callable[[Progress], None]
Notify = Callable[[str], None]


class Context:
    """A home at work. Models and SAEs stay loaded from one job to the next."""

    def __init__(self, home: Home, db: Database) -> None:
        self.home = home
        self.db = db
        self.tell: Tell = lambda progress: None
        self.notify: Notify = lambda message: None
        self.stop = threading.Event()
        """Set from another thread when the job under way is to stop; jobs look at it after every batch."""
        self.saving: Callable[[], None] = lambda: None
        """Told before the state of a run is saved; raises where it is no longer this process's to write."""
        self.kept: Callable[[], None] = lambda: None
        """Told when the state of a run has been saved."""
        self.runs = Runs(home.work)
        """The saved state of runs."""
        self.on_token: Callable[[dict[str, Any]], None] = lambda token: None
        """Told of every token as it is generated."""
        self._models: dict[str, LanguageModel] = {}
        self._saes: dict[str, Sae] = {}
        self._tokens: dict[str, TokenStore] = {}

    def for_job(self, tell: Tell, notify: Notify, stop: threading.Event, job: records.Job | None = None) -> "Context":
        """The same home and loaded things for one job among several: its own ways to tell and to be stopped."""
        mine = copy.copy(self)
        mine.tell, mine.notify, mine.stop = tell, notify, stop
        mine.runs = Runs(self.home.work, job)
        return mine

    @contextlib.contextmanager
    def reporting(self, tell: Tell | None, notify: Notify | None) -> Iterator[None]:
        """Send progress and messages to these for the time of a block."""
        before = self.tell, self.notify
        self.tell = tell or before[0]
        self.notify = notify or before[1]
        try:
            yield
        finally:
            self.tell, self.notify = before

    def check_stop(self) -> None:
        """Interrupted when the job under way is to stop; call it where what is kept is whole."""
        if self.stop.is_set():
            raise Interrupted("stopped", "what was whole is kept: run or resume it to go on from there")

    @property
    def device(self) -> torch.device:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    # ---- things of the home, loaded ----

    def model(self, name: str) -> tuple[records.Model, LanguageModel]:
        """A model of the home, loaded; checked to be the one that was added."""
        record = catalogue.model(self.db, name)
        if record.id not in self._models:
            self.tell(Progress("loading model", 0, None, "bytes", record.name))
            source = record.path or record.source
            loaded = load_model(
                str(self.home.root / source) if record.path else source,
                dtype=record.dtype,  # type: ignore[arg-type]
                quantize=record.quantize,  # type: ignore[arg-type]
            )
            if loaded.fingerprint != record.fingerprint:
                raise Mismatch(
                    f"model {name!r} has changed since it was added: {record.source!r} now has fingerprint "
                    f"{loaded.fingerprint[:12]}, not {record.fingerprint[:12]}",
                    "add it again under another name",
                )
            self._models[record.id] = loaded
        return record, self._models[record.id]

    def sae(self, name: str) -> tuple[records.SaeInfo, Sae]:
        """An SAE of the home, loaded."""
        record = catalogue.sae(self.db, name)
        if record.id not in self._saes:
            folder = self.home.artifact("saes", record.id)
            if not folder.is_dir():
                raise BrokenHome(f"the files of SAE {name!r} are gone from the home", f"remove and add {name!r} again")
            self._saes[record.id] = read_sae(folder, device=str(self.device)).eval().pack()
        return record, self._saes[record.id]

    def keep_model(self, record: records.Model, model: LanguageModel) -> None:
        """Remember a model that is already loaded."""
        self._models[record.id] = model

    def keep_sae(self, record: records.SaeInfo, sae: Sae) -> None:
        """Remember a freshly trained SAE."""
        self._saes[record.id] = sae.to(self.device).eval().pack()

    def extraction(self, name: str) -> tuple[records.Extraction, FeatureStore]:
        """A finished extraction and its tables."""
        record = catalogue.extraction(self.db, name)
        return record, FeatureStore(self.home.artifact("extractions", record.id))

    def vocabulary(self, model: records.Model) -> list[str]:
        """The string of every token id of a model."""
        return json.loads((self.home.artifact("models", model.id) / "vocabulary.json").read_text())

    def write_vocabulary(self, model: LanguageModel, folder: Path) -> None:
        """Keep the strings of all tokens, so that showing features needs no tokenizer."""
        (folder / "vocabulary.json").write_text(json.dumps(vocabulary(model.tokenizer)))

    # ---- tokens ----

    def tokens(
        self, dataset: records.Dataset, model: LanguageModel, context: int, packing: Packing = "packed"
    ) -> TokenStore:
        """A dataset as rows of tokens, made once for each tokenizer, context and packing."""
        model.check_context(context)
        key = token_store_key(dataset.fingerprint, model.tokenizer_fingerprint, context, packing)
        if key not in self._tokens:
            folder = self.home.artifact("tokens", key)
            if not folder.is_dir():
                documents = self.home.artifact("datasets", dataset.id)
                with self.home.making("tokens", key) as draft:
                    tokenize(documents, model.tokenizer, context, draft, packing=packing, progress=self.tell)
                    tokenized.describe(draft, dataset, model.tokenizer_fingerprint, context, packing)
            self._tokens[key] = TokenStore.open(folder)
        return self._tokens[key]

    # ---- checks that several jobs share ----

    def check_fits(self, record: records.SaeInfo, sae: Sae, model: LanguageModel) -> str:
        """The canonical hookpoint of an SAE on a model; Mismatch when the widths disagree."""
        hookpoint = model.hookpoint(record.hookpoint)
        width = sum(model.widths(hookpoint))
        if sae.d_in != width:
            raise Mismatch(
                f"SAE {record.name!r} reads {sae.d_in} numbers, and {hookpoint} of model {record.model!r} has {width}",
                "choose the model and hookpoint it was trained on",
            )
        if sae.cfg.transcoder:
            leaving = model.hookpoint(sae.cfg.hookpoint_out)
            if sae.cfg.width_out != model.hookpoints[leaving]:
                raise Mismatch(
                    f"transcoder {record.name!r} writes {sae.cfg.width_out} numbers, and {leaving} of model "
                    f"{record.model!r} has {model.hookpoints[leaving]}",
                    "choose the model and hookpoint it was trained on",
                )
        return hookpoint

    def work_folder(self, name: str) -> Path:
        """Where the state of a run that can be resumed is kept."""
        return self.runs.folder(name)

    @contextlib.contextmanager
    def owning(self, name: str) -> Iterator[None]:
        """Be the only process with this run for the time of a block; WrongRequest when another has it."""
        with self.runs.owning(name):
            self.saving()
            yield

    def clear_work(self, name: str) -> None:
        """Remove the state of a run."""
        self.runs.clear(name)

    def publishing(self, kind: str, id: str) -> contextlib.AbstractContextManager[None]:
        """A block in which a thing is made and listed: see `store/publishing.py`."""
        return publishing(self.home, self.db, kind, id)


def check_feature(feature: int, total: int) -> None:
    """BadValue when an SAE has no such feature."""
    if not 0 <= feature < total:
        raise BadValue(f"there is no feature {feature}", f"features go from 0 to {total - 1}")
