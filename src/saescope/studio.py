"""The studio: everything the commands do, from Python.

studio = saescope.open()
studio.run(saescope.AddDataset(name="speeches", source="speeches/*.txt"))
studio.features("my-extraction").to_arrow()
"""

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any

from . import specs
from .errors import NotFound
from .home import Home
from .jobs import verbs
from .records import Dataset, Endpoint, Job, LabelError, Progress, SaeInfo
from .store import catalogue, llm_endpoints, looking
from .store import jobs as job_store
from .store.database import Database, open_database
from .store.labels import current_label_columns, label_errors
from .store.metrics import newest_rows

if TYPE_CHECKING:
    from .data.token_store import TokenStore
    from .jobs.context import Context

Tell = Callable[[Progress], None]
Notify = Callable[[str], None]
Kind = catalogue.KindName


def open_studio(home: str | os.PathLike[str] | None = None) -> "Studio":
    """Open a home: the folder given, else SAESCOPE_HOME, else the user's data folder; made if need be."""
    return Studio(Home(home))


class Studio(looking.Looking):
    """A home, open. Models and SAEs stay loaded until it is closed."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._db: Database | None = None
        self._context: Context | None = None

    @property
    def db(self) -> Database:
        """The catalogue, opened when it is first needed."""
        if self._db is None:
            self._db = open_database(self.home)
        return self._db

    @property
    def context(self) -> "Context":
        """What jobs are handed. Loads torch."""
        if self._context is None:
            from .jobs.context import Context

            self._context = Context(self.home, self.db)
        return self._context

    @property
    def loaded(self) -> "Context | None":
        """The context, where something has asked for it already."""
        return self._context

    def close(self) -> None:
        """Let go of the catalogue and of everything loaded."""
        if self._db is not None:
            self._db.close()
        self._db = self._context = None

    def __enter__(self) -> "Studio":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- doing ----

    def run(
        self, spec: specs.Spec, progress: Tell | None = None, notify: Notify | None = None, **options: Any
    ) -> dict[str, Any]:
        """Carry out a request and return its document (contract.md names the fields).

        Raises a StudioError that says what is wrong and what to do; then the home is as it was before.
        """
        if verbs.durable(spec):
            from .jobs.foreground import run_as_job

            return run_as_job(spec, self.context, progress, notify, options)
        module = verbs.module(spec)
        from .jobs.worker import translated

        with self.context.reporting(progress, notify), translated(self.home):
            return module.run(spec, self.context, **options)

    def demo(self, progress: Tell | None = None, notify: Notify | None = None) -> dict[str, Any]:
        """The whole pipeline on a real model and real text, in some minutes."""
        with self.context.reporting(progress, notify):
            return _job("demo").run(self)

    def bench_extract(
        self, spec: specs.BenchExtract, progress: Tell | None = None, notify: Notify | None = None
    ) -> dict[str, Any]:
        """Time an extraction against its floor; nothing is kept but the demo's model and text where they are used."""
        with self.context.reporting(progress, notify):
            return _job("bench_extract").run(spec, self, self.context)

    def remove(self, kind: Kind, name: str) -> dict[str, Any]:
        """Take something out of the home; refused while something else is made from it."""
        return looking.remove(self.home, self.db, kind, name)

    def caches(self) -> list[dict[str, Any]]:
        """Every cache of activations: model hash, hookpoint, format, rows and how many are there, bytes."""
        from .jobs.activation_cache import caches

        return caches(self.home)

    def remove_cache(self, id: str) -> dict[str, Any]:
        """Take a cache of activations off the disk; the beginning of an id will do."""
        from .jobs.activation_cache import remove_cache

        return remove_cache(self.home, self.db, id)

    # ---- jobs ----

    def jobs(self, state: str | None = None, limit: int = 50) -> list[Job]:
        """Jobs, newest first."""
        return job_store.jobs(self.db, state, limit=limit)

    def show_job(self, id: str) -> dict[str, Any]:
        """A job, what it said, and of trainings the newest row of metrics; the beginning of an id will do."""
        job = self._job(id)
        said = {"lines": job_store.lines(self.db, job.id), "metrics": newest_rows(self.home, job)}
        return job.to_json() | said

    def cancel_job(self, id: str) -> Job:
        """Ask a job to stop."""
        return job_store.cancel(self.db, self._job(id).id)

    def resume_job(self, id: str, progress: Tell | None = None, notify: Notify | None = None) -> dict[str, Any]:
        """Go on with a cancelled or failed job and see it to its end; its record."""
        from .jobs.foreground import follow

        job = job_store.resume(self.db, self._job(id).id)
        follow(job, self.context, progress, notify, {})
        return self.show_job(job.id)

    def prune_jobs(self, keep: int = 100) -> int:
        """Remove the records of all but the newest finished jobs, and what they kept to go on from; how many."""
        from .jobs.runs import remove_without_jobs

        removed = job_store.prune(self.db, keep)
        remove_without_jobs(self.home, self.db)
        return removed

    def _job(self, id: str) -> Job:
        if len(id) == 26:
            return job_store.job(self.db, id)
        found = [job for job in job_store.jobs(self.db, limit=1000) if job.id.startswith(id.upper())]
        if len(found) != 1:
            said = "no job" if not found else f"{len(found)} jobs"
            raise NotFound(f"{said} {id!r}", "see `saescope jobs list`, and give more of the id")
        return found[0]

    # ---- looking ----

    def _tokenize(self, dataset: Dataset, model: str, context: int) -> "TokenStore":
        return self.context.tokens(dataset, self.context.model(model)[1], context)

    def _near(self, sae: SaeInfo, index: int) -> dict[str, Any]:
        return _job("neighbors").neighbors_of(self.home, sae, index)

    def sample_dataset(
        self,
        name: str,
        model: str | None = None,
        context: int | None = None,
        limit: int = 5,
        packing: specs.Packing = "packed",
    ) -> dict[str, Any]:
        """The first documents of a dataset, or with a model its first rows exactly as an extraction sees them."""
        return _job("sample_dataset").run(
            catalogue.dataset(self.db, name), self.context, model, context, limit, packing
        )

    def export_sae(self, name: str, folder: str | os.PathLike[str], format: str = "saelens") -> dict[str, Any]:
        """Write an SAE where another library can read it."""
        return _job("export_sae").run(name, Path(folder), format, self.context)

    def show_prompt(self, spec: specs.LabelFeatures, feature: int) -> dict[str, Any]:
        """What an LLM would be asked for one feature's label; nothing is asked."""
        return _job("label_estimate").show_prompt(spec, feature, self.context)

    def llm_endpoints(self) -> list[Endpoint]:
        """The LLM servers of the home, oldest first."""
        return llm_endpoints.endpoints(self.db)

    def add_llm(
        self,
        name: str,
        url: str,
        model: str,
        *,
        key: str | None = None,
        key_env: str | None = None,
        keyring: bool = False,
        price_in: float | None = None,
        price_out: float | None = None,
    ) -> Endpoint:
        """Add an LLM server; prices are money for a million tokens.

        Its key is kept in a file of the home, or in the system's keyring; of one that is in the environment (key_env)
        only the name is.
        """
        place = "environment" if key_env else "none" if key is None else "keyring" if keyring else "file"
        prices = {"price_in": price_in, "price_out": price_out}
        return llm_endpoints.add_endpoint(
            self.db, self.home, name, url, model, place=place, secret=key_env or key or "", **prices
        )

    def remove_llm(self, name: str) -> Endpoint:
        """Remove an LLM server and its key; what was paid to it stays in the ledger."""
        return llm_endpoints.remove_endpoint(self.db, self.home, name)

    def test_llm(self, name: str) -> dict[str, Any]:
        """Ask an LLM server one short question: whether it answers, in JSON, and how fast."""
        from .llm.check import check_endpoint
        from .llm.keys import read_key
        from .store.llm_calls import Ledger

        found = llm_endpoints.endpoint(self.db, name)
        return check_endpoint(found, read_key(self.home, found), Ledger(self.db))

    def label_errors(self, extraction: str) -> list[LabelError]:
        """Features that no label was found for, with what was answered; newest first."""
        return label_errors(self.db, catalogue.extraction(self.db, extraction).id)

    def add_label(self, extraction: str, index: int, text: str) -> dict[str, Any]:
        """Give a feature a label of a person's; it is shown until another is written or chosen."""
        return _job("label_history").add_label(self.db, extraction, index, text)

    def choose_label(self, extraction: str, index: int, label: int | None) -> dict[str, Any]:
        """Show one label of a feature's history; None leaves it to the rule again."""
        return _job("label_history").choose_label(self.db, extraction, index, label)

    def import_labels(self, extraction: str, path: str | os.PathLike[str]) -> dict[str, Any]:
        """Add the labels of a .jsonl, .csv or Neuronpedia file; all of them or none."""
        return _job("label_history").import_labels(self.db, extraction, Path(path))

    def export_labels(self, extraction: str, path: str | os.PathLike[str], format: str = "auto") -> dict[str, Any]:
        """Write every label with its scores to a .jsonl or .csv file, or as Neuronpedia's explanations."""
        return _job("label_history").export_labels(self.db, extraction, Path(path), format)

    def export_features(self, extraction: str, path: str | os.PathLike[str]) -> dict[str, Any]:
        """Write every feature with its label to a .parquet, .csv or .jsonl file."""
        from .store.export import export_features

        record = catalogue.extraction(self.db, extraction)
        rows = export_features(self.features(extraction), current_label_columns(self.db, record.id), Path(path))
        return {"extraction": record.name, "file": str(path), "features": rows}

    def doctor(self) -> dict[str, Any]:
        """What this machine can do, and what is wrong with this home."""
        return _job("doctor").run(self.home, lambda: self.db)


def _job(name: str) -> ModuleType:
    """A job's module, loaded when it is asked for: most of them load torch."""
    return importlib.import_module(f".jobs.{name}", __package__)
