"""What rooms pass to each other: frozen records, and Arrow tables where there are many rows.

The tensor wing makes them, the store keeps them, the command line and the web show them. No torch here.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


class Record:
    """A frozen record that can be shown as JSON."""

    def to_json(self) -> dict[str, Any]:
        return _plain(asdict(self))  # type: ignore[call-overload]


def _plain(value: Any) -> Any:
    """Paths to strings, tuples to lists, numpy scalars to Python's."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value


# ---- the catalogue: one record per row -------------------------------------------------------------------


@dataclass(frozen=True)
class Dataset(Record):
    """Documents in the home."""

    id: str
    name: str
    source: str
    text_field: str | None
    fingerprint: str
    """Hash of the documents' text, in order."""
    documents: int
    blank_documents: int
    """Documents without any text, counted and left out."""
    characters: int
    created: str


@dataclass(frozen=True)
class Model(Record):
    """A language model in the home."""

    id: str
    name: str
    source: str
    path: str | None
    """Folder of the converted checkpoint inside the home; None when the source itself is read."""
    dtype: str
    quantize: str
    family: str
    layers: int
    d_model: int
    context: int
    """Longest context the model takes, in tokens."""
    vocabulary: int
    fingerprint: str
    """Hash of configuration, weights and tokenizer."""
    tokenizer_fingerprint: str
    hookpoints: dict[str, int]
    """Every hookpoint and its width."""
    created: str


@dataclass(frozen=True)
class SaeInfo(Record):
    """A sparse autoencoder in the home."""

    id: str
    name: str
    kind: str
    d_in: int
    d_sae: int
    model: str
    hookpoint: str
    source: str
    """Where it came from: a folder, or the dataset it was trained on."""
    fingerprint: str
    metrics: dict[str, float | None]
    """fvu, l0, dead and ce_recovered, where they are known."""
    created: str


@dataclass(frozen=True)
class Extraction(Record):
    """A finished pass of one SAE over one dataset."""

    id: str
    name: str
    sae: str
    model: str
    dataset: str
    hookpoint: str
    samples: int
    tokens: int
    """Valid tokens: those that count."""
    features: int
    context: int
    top_k: int
    spec: dict[str, Any]
    provenance: dict[str, Any]
    """Fingerprints of model, tokenizer, SAE, dataset and code, and the probe."""
    created: str


@dataclass(frozen=True)
class Score(Record):
    """One measured quality of a label (docs/labels.md defines each)."""

    value: float | None
    """None where every answer failed."""
    n: int
    """Answers that count."""
    low: float | None
    high: float | None
    """The 95 % interval."""
    chance: float | None
    """What a judge that knows nothing gets."""
    failed: int = 0
    """Answers that could not be read or did not come: counted, never taken for an answer."""
    judge: str = "rule"
    """rule, or the model that was asked."""
    interval: str = "wilson"
    """How low and high were worked out: wilson or bootstrap."""


@dataclass(frozen=True)
class Label(Record):
    """A description of a feature, with who or what wrote it."""

    feature: int
    text: str
    source: str
    """lexical, llm, llm-contrastive, person or imported."""
    model: str | None
    created: str
    clarity: float | None = None
    """Share of the examples that the description covers, 0 to 1."""
    detail: dict[str, Any] = field(default_factory=dict)
    prompt: str | None = None
    """NAME@HASH of the prompt that it answers."""
    samples: tuple[int, ...] = ()
    """Samples that it was written from; none of them is graded with."""
    request: str | None = None
    """Hash of the request that it belongs to, by which a stopped one goes on."""
    scores: dict[str, Score] = field(default_factory=dict)
    id: int | None = field(default=None, compare=False)
    """Its number in the catalogue."""
    shown: bool = field(default=False, compare=False)
    """It is the one of its feature that is shown."""


@dataclass(frozen=True)
class Job(Record):
    """One request that is carried out by a worker, or was."""

    id: str
    verb: str
    """The spec's class, in words: extract_features, train_sae, …"""
    name: str
    """What it makes or works on, for a list."""
    spec: dict[str, Any]
    lane: str
    """device: one at a time has the device; llm: beside it."""
    state: str
    """queued, running, succeeded, failed or cancelled."""
    attempt: int
    """How often it has been started; every write of a worker is fenced by it."""
    stalls: int
    """Starts since something was last finished."""
    owner: str | None
    cancel: bool
    """Whether it has been asked to stop."""
    made: list[dict[str, str]]
    """What it has put into the catalogue: kind, id and name, noted in the transaction that did."""
    progress: dict[str, Any] | None
    """phase, done, total, unit, note, rate, seconds_left, memory_bytes."""
    result: dict[str, Any] | None
    error: dict[str, str] | None
    """kind, message and hint."""
    created: float
    started: float | None
    ended: float | None
    heartbeat: float | None
    """Times in seconds since 1970, by the database's clock."""

    @property
    def over(self) -> bool:
        return self.state in ("succeeded", "failed", "cancelled")


@dataclass(frozen=True)
class Endpoint(Record):
    """A server that speaks OpenAI's protocol, and the model to ask there. Its key is not in the catalogue."""

    id: str
    name: str
    url: str
    """The base address, to which /chat/completions is added."""
    model: str
    key: str
    """Where its key is: none, file, keyring or environment."""
    price_in: float | None
    price_out: float | None
    """Money for a million tokens asked and answered; None where it is not known."""
    created: str


@dataclass(frozen=True)
class LabelError(Record):
    """A feature that an explainer found no label for."""

    feature: int
    source: str
    model: str | None
    reason: str
    raw: str | None
    """What was answered, as it came."""
    request: str
    created: str


# ---- what verbs yield and return -------------------------------------------------------------------------


@dataclass(frozen=True)
class Progress(Record):
    """How far a piece of work has come, in one unit."""

    phase: str
    done: float
    total: float | None
    unit: str
    """tokens, documents, samples, steps, bytes or features."""
    note: str = ""


@dataclass(frozen=True)
class TrainStep(Record):
    """One step of training, measured."""

    step: int
    tokens: int
    loss: float
    fvu: float
    """Fraction of variance unexplained on this batch."""
    l0: float
    """Active features per token."""
    dead: int
    """Features that have not been active for the last dead-after tokens."""
    lr: float


@dataclass(frozen=True)
class TrainMeasure(Record):
    """More about one step's batch."""

    l1: float
    """Sum of a token's activations, in their own units."""
    dense: int
    """Features active on more than a tenth of the tokens."""
    densities: tuple[int, ...]
    """Features by density, 20 bins from 1e-5 to 1, four to a factor of ten; those silent in the batch are in none."""
    shrinkage: float
    """E||y^||^2 / E[y^ . y]: below 1 where reconstructions are too short."""


@dataclass(frozen=True)
class Probe(Record):
    """Whether an SAE fits its hookpoint, on a few samples."""

    fvu: float
    l0: float
    norm_ratio: float
    """Mean norm of the reconstruction over mean norm of the activation."""
    tokens: int


@dataclass(frozen=True)
class Continuation(Record):
    """A prompt continued, as text and token ids."""

    text: str
    token_ids: tuple[int, ...]


@dataclass(frozen=True)
class Steered(Record):
    """A prompt continued with and without edits."""

    prompt: str
    original: str
    steered: str
    edits: tuple[dict[str, Any], ...]
    original_token_ids: tuple[int, ...]
    steered_token_ids: tuple[int, ...]
    original_logprobs: tuple[float, ...] = ()
    steered_logprobs: tuple[float, ...] = ()
    """Natural logarithm of each token's probability as the model gave it, whatever the temperature."""
