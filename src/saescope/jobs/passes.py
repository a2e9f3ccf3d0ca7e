"""What one pass is about: the SAEs, their one model, the rows of tokens, checked against each other."""

import json
import time
from dataclasses import dataclass
from functools import cached_property

from ..data.tokens import TokenStore
from ..errors import Mismatch, NameTaken, WrongRequest
from ..extraction.state import Settings
from ..fingerprint import content_hash
from ..models.language_model import LanguageModel
from ..records import Dataset, Model, Probe, SaeInfo
from ..sae.base import Sae
from ..specs import ExtractFeatures
from ..store import catalogue
from ..version import VERSION
from .context import Context

SAVE_SECONDS = 60.0
"""Time between two saves of the state, at the least; a save may take 2 % of it."""


@dataclass
class Part:
    """One SAE's share of the pass."""

    record: SaeInfo
    sae: Sae
    hookpoint: str
    name: str
    probe: Probe | None = None


@dataclass(frozen=True)
class Pass:
    """Everything one pass is about."""

    spec: ExtractFeatures
    context: Context
    dataset: Dataset
    model_record: Model
    model: LanguageModel
    rows: TokenStore
    parts: list[Part]
    began: float
    """When it was begun, on the clock of `time.perf_counter`."""
    loading: float
    """Seconds that looking up and loading took; tokenising, which is done once, is not in them."""

    @property
    def stop(self) -> int:
        """Samples to read."""
        return min(self.spec.samples or self.rows.samples, self.rows.samples)

    @property
    def elapsed(self) -> float:
        """Seconds since it was begun."""
        return time.perf_counter() - self.began

    @property
    def hookpoints(self) -> list[str]:
        """Where the model is read, each place once."""
        return list(dict.fromkeys(part.hookpoint for part in self.parts))

    def settings(self, part: Part) -> Settings:
        """What decides the answer for one SAE; no more rows and tokens than there are."""
        return Settings(
            d_sae=part.sae.d_sae,
            top_k=min(self.spec.top_k, self.stop),
            window=min(self.spec.window, self.spec.context),
            seed=self.spec.seed,
            first=0 if self.spec.include_special else 1,
        )

    @cached_property
    def work_name(self) -> str:
        """The name of the saved state: everything that decides the answer, and nothing else."""
        besides = {"vectorization_batch_size", "name", "force", "saes", "dataset", "estimate", "estimate_for"}
        decisive = json.dumps(self.spec.model_dump(exclude=besides, mode="json"), sort_keys=True)
        saes = [each for part in self.parts for each in (part.record.fingerprint, part.hookpoint)]
        key = content_hash(decisive, *saes, self.model.fingerprint, self.dataset.fingerprint, VERSION)
        return f"extract-{key[:32]}"


def prepare(spec: ExtractFeatures, context: Context) -> Pass:
    """Look everything up, load it, and check that it fits together."""
    began = time.perf_counter()
    dataset = catalogue.dataset(context.db, spec.dataset)
    parts, model_record, model = _parts(spec, context)
    loading = time.perf_counter() - began
    rows = context.tokens(dataset, model, spec.context, spec.packing)
    return Pass(spec, context, dataset, model_record, model, rows, parts, began, loading)


def save_interval(cost: float) -> float:
    """Seconds between two saves of which one takes `cost`."""
    return max(SAVE_SECONDS, 50 * cost)


def _parts(spec: ExtractFeatures, context: Context) -> tuple[list[Part], Model, LanguageModel]:
    """The SAEs, checked against their one model, and the names their extractions will have."""
    infos = [catalogue.sae(context.db, name) for name in dict.fromkeys(spec.saes)]
    models = sorted({info.model for info in infos})
    if len(models) > 1:
        raise Mismatch(f"the SAEs read different models: {', '.join(models)}", "extract them model by model")
    if spec.name is not None:
        wanted = [spec.name] if len(infos) == 1 else [f"{spec.name}-{info.name}" for info in infos]
        for name in wanted:
            catalogue.name_free(context.db, "extraction", name)
    else:
        wanted = [free_name(f"{info.name}-on-{spec.dataset}", context) for info in infos]
    record, model = context.model(models[0])
    parts = []
    for info, name in zip(infos, wanted, strict=True):
        _, sae = context.sae(info.name)
        if sae.signed:
            raise WrongRequest(
                f"SAE {info.name!r} has features that may be negative ({sae.kind}), which an extraction cannot count",
                "add it again with --split-signs: each feature becomes its positive and its negative side",
            )
        parts.append(Part(info, sae, context.check_fits(info, sae, model), name))
    return parts, record, model


def free_name(name: str, context: Context) -> str:
    """The name itself, or with the first free number behind it."""
    number, candidate = 1, name[:96]
    while True:
        try:
            catalogue.name_free(context.db, "extraction", candidate)
        except NameTaken:
            number += 1
            candidate = f"{name[:96]}-{number}"
        else:
            return candidate
