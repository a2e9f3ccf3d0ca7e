"""Datasets, models, SAEs and extractions: listed, shown, removed; trainings as columns of metrics."""

from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from ..data.documents import read_documents
from ..errors import NotFound
from ..records import Dataset
from ..store import catalogue, looking, show
from ..store.metrics import metrics
from ..store.tokenized import token_stores
from .answers import json
from .quick import quick
from .site import Site, TheSite

router = APIRouter(tags=["things"])
_CHARACTERS = 2000


@router.get("/datasets")
def datasets(site: TheSite) -> Response:
    """Every dataset, oldest first."""
    return json(site.kept.get("datasets", lambda: [record.to_json() for record in catalogue.datasets(site.db)]))


@router.get("/datasets/{name}")
def dataset(name: str, site: TheSite) -> Response:
    """A dataset, with its rows as they were last tokenized."""
    record = catalogue.dataset(site.db, name)
    return json(show.show_dataset(record, site.home, lambda model, tokens: None, None, None))


@router.get("/datasets/{name}/sample")
def sample(
    name: str,
    site: TheSite,
    model: str | None = None,
    context: int | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 8,
) -> Response:
    """The first documents of a dataset, or with a model its first rows, where it was tokenized before."""
    record = catalogue.dataset(site.db, name)
    if model is None:
        documents = islice(read_documents(site.home.artifact("datasets", record.id)), limit)
        samples = [{"sample": index, "token_ids": None, "text": text[:_CHARACTERS]} for index, text in documents]
        return json({"name": record.name, "samples": samples})
    return json(_rows(site, record, model, context, limit))


def _rows(site: Site, record: Dataset, model: str, context: int | None, limit: int) -> dict[str, Any]:
    reader = catalogue.model(site.db, model)
    fitting = (
        rows
        for about, rows in token_stores(site.home, record)
        if about["tokenizer"] == reader.tokenizer_fingerprint and context in (None, about["context"])
    )
    rows = next(fitting, None)
    if rows is None:
        raise NotFound(f"{record.name!r} was not tokenized for {model!r} yet", "an extraction or a training does it")
    strings = looking.vocabulary(site.home, reader)
    samples = []
    for sample in range(min(limit, rows.samples)):
        ids = rows.tokens[sample, : rows.lengths[sample]].tolist()
        tokens = [strings[id] for id in ids]
        valid = rows.valid(slice(sample, sample + 1))[0, : len(ids)].tolist()
        samples.append({"sample": sample, "token_ids": ids, "tokens": tokens, "text": "".join(tokens), "valid": valid})
    return {"name": record.name, "model": reader.name, "context": rows.context, "samples": samples}


@router.get("/models")
def models(site: TheSite) -> Response:
    """Every model, oldest first."""
    return json(site.kept.get("models", lambda: [record.to_json() for record in catalogue.models(site.db)]))


@router.get("/models/{name}")
def model(name: str, site: TheSite) -> Response:
    """A model and its hookpoints."""
    return json(show.show_model(catalogue.model(site.db, name)))


@router.get("/saes")
def saes(site: TheSite) -> Response:
    """Every SAE, oldest first."""
    return json(site.kept.get("saes", lambda: [record.to_json() for record in catalogue.saes(site.db)]))


@router.get("/saes/{name}")
def sae(name: str, site: TheSite) -> Response:
    """An SAE."""
    return json(show.show_sae(catalogue.sae(site.db, name), site.home))


@router.get("/trainings")
def trainings(site: TheSite) -> Response:
    """The SAEs that were trained here."""
    return json([record.to_json() for record in catalogue.saes(site.db) if _trained(site, record.id)])


@router.get("/trainings/{name}/metrics")
def training_metrics(name: str, site: TheSite) -> Response:
    """The metrics of a finished training: one list a column."""
    folder = site.home.artifact("saes", catalogue.sae(site.db, name).id)
    return json(metrics(folder).to_pydict())


def _trained(site: Site, id: str) -> bool:
    return (site.home.artifact("saes", id) / "metrics.parquet").exists()


@router.get("/extractions")
@quick
def extractions(site: TheSite) -> Response:
    """Every extraction, oldest first."""
    return json(site.kept.get("extractions", lambda: [record.to_json() for record in catalogue.extractions(site.db)]))


@router.get("/extractions/{extraction}")
def extraction(extraction: str, site: TheSite) -> Response:
    """One extraction."""
    return json(catalogue.extraction(site.db, extraction).to_json())


def _remover(kind: catalogue.KindName) -> None:
    def remove(name: str, site: TheSite) -> Response:
        return json(looking.remove(site.home, site.writable, kind, name))

    remove.__doc__ = f"Remove this {kind} from the home; refused while something else is made from it."
    router.add_api_route(f"/{kind}s/{{name}}", remove, methods=["DELETE"], operation_id=f"remove_{kind}")


for _kind in ("dataset", "model", "sae", "extraction"):
    _remover(_kind)
