"""The demo as one job of a worker: every stage is carried out within it."""

from typing import Any, Literal

from ..data.token_store import TokenStore
from ..records import Dataset, Extraction, Model, SaeInfo
from ..specs import RunDemo, Spec
from ..store import catalogue, looking, show
from ..store.features import FeatureStore
from . import demo, neighbors, verbs
from .context import Context


def run(spec: RunDemo, context: Context) -> dict[str, Any]:
    """Run every stage that the home does not hold yet."""
    return demo.run(_Within(context))


class _Within:
    """What the demo uses of a studio, within a job."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.home, self.db = context.home, context.db

    def run(self, spec: Spec) -> dict[str, Any]:
        self._context.check_stop()
        return verbs.module(spec).run(spec, self._context)

    def datasets(self) -> list[Dataset]:
        return catalogue.datasets(self.db)

    def models(self) -> list[Model]:
        return catalogue.models(self.db)

    def saes(self) -> list[SaeInfo]:
        return catalogue.saes(self.db)

    def extractions(self) -> list[Extraction]:
        return catalogue.extractions(self.db)

    def show_dataset(self, name: str, context: int | None = None, model: str | None = None) -> dict[str, Any]:
        record = catalogue.dataset(self.db, name)

        def tokenize(named: str | None, tokens: int) -> TokenStore | None:
            return None if named is None else self._context.tokens(record, self._context.model(named)[1], tokens)

        return show.show_dataset(record, self.home, tokenize, model, context)

    def show_feature(self, extraction: str, index: int) -> dict[str, Any]:
        record = catalogue.extraction(self.db, extraction)
        strings = looking.strings_of(self.home, self.db, record)

        def near() -> dict[str, Any]:
            return neighbors.neighbors_of(self.home, catalogue.sae(self.db, record.sae), index)

        return looking.show_feature(self.db, record, self._store(record), strings, index, near)

    def list_features(
        self,
        extraction: str,
        sort: str = "index",
        order: Literal["asc", "desc"] | None = None,
        where: str | None = None,
    ) -> dict[str, Any]:
        record = catalogue.extraction(self.db, extraction)
        return looking.list_features(self.db, record, self._store(record), None, sort, order, where)

    def _store(self, record: Extraction) -> FeatureStore:
        return FeatureStore(self.home.artifact("extractions", record.id))
