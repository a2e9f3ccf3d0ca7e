"""The demo as one job of a worker: every stage is carried out within it."""

from typing import Any

from ..data.token_store import TokenStore
from ..records import Dataset, SaeInfo
from ..specs import RunDemo, Spec
from ..store.database import Database
from ..store.looking import Looking
from . import demo, neighbors, verbs
from .context import Context


def run(spec: RunDemo, context: Context) -> dict[str, Any]:
    """Run every stage that the home does not hold yet."""
    return demo.run(_Within(context))


class _Within(Looking):
    """What the demo uses of a studio, within a job."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.home = context.home

    @property
    def db(self) -> Database:
        return self._context.db

    def run(self, spec: Spec) -> dict[str, Any]:
        self._context.check_stop()
        return verbs.module(spec).run(spec, self._context)

    def _tokenize(self, dataset: Dataset, model: str, context: int) -> TokenStore:
        return self._context.tokens(dataset, self._context.model(model)[1], context)

    def _near(self, sae: SaeInfo, index: int) -> dict[str, Any]:
        return neighbors.neighbors_of(self.home, sae, index)
