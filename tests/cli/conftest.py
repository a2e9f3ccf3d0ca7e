"""A scripted studio: it answers with fixed documents, so that only what the command line adds is tested."""

import math
from types import SimpleNamespace
from typing import Any

import pytest

from saescope import records
from saescope.cli import common
from saescope.cli.main import main
from saescope.errors import NotFound

TEXT = "the people of these United States and the Soviet Union have long been in agreement on wheat prices\n"
TOKENS = [f" {word}" for word in TEXT.split(" ")]


def example(sample: int, strength: float, stratum: str = "top", place: int = 8, cut: int = 0) -> dict[str, Any]:
    tokens = TOKENS[cut:]
    peak = place - cut
    activations = [0.0] * len(tokens)
    if strength:
        activations[peak], activations[peak + 1], activations[peak - 2] = strength, strength / 2, strength / 9
    return {
        "stratum": stratum,
        "sample": sample,
        "peak": peak + 40,
        "activation": strength,
        "start": 40,
        "tokens": tokens,
        "token_ids": list(range(len(tokens))),
        "activations": activations,
        "top_positions": [peak + 40],
    }


def feature(index: int, label: str | None = "peaks on “Soviet”", dead: bool = False) -> dict[str, Any]:
    row = {
        "index": index,
        "label": label,
        "clarity": 0.93 if label else None,
        "density": 0.0042 / (index + 1),
        "active_tokens": 12_345,
        "active_samples": 678,
        "max": 12.345 + index,
        "mean": 3.21,
        "dead": False,
    }
    return (
        row | {"density": 0.0, "active_tokens": 0, "active_samples": 0, "max": 0.0, "mean": 0.0, "dead": True}
        if dead
        else row
    )


def shown_feature(index: int = 512) -> dict[str, Any]:
    edges = [2.0**power for power in range(-8, 9)]
    return feature(index) | {
        "max": 12.345,
        "histogram": {
            "edges": edges,
            "counts": [0, 0, 0, 3, 9, 40, 200, 900, 1500, 800, 100, 12, 0, 0, 0, 0],
        },
        "writes_most": [
            {"token": " Union", "id": 1, "logit": 1.234},
            {"token": " Russia", "id": 2, "logit": 1.1},
        ],
        "writes_least": [{"token": "ing", "id": 3, "logit": -0.9}],
        "neighbors": [
            {"index": 77, "cosine": 0.61, "label": "peaks on “communist”"},
            {"index": 4, "cosine": 0.4},
        ],
        "labels": [
            {
                "text": "peaks on “Soviet”",
                "source": "lexical",
                "model": None,
                "created": "2026-11-23T14:02:11",
                "scores": {},
            }
        ],
        "examples": [
            *(example(sample, 12.345 - sample, cut=sample) for sample in range(4)),
            example(10_204, 1.5, "q2", place=11),
            example(9, 0.0, "none"),
        ],
    }


STEERED = {
    "prompt": "My fellow citizens,",
    "original": "My fellow citizens, I have the honor to report that the finances are in good order.",
    "steered": "My fellow citizens, I have the honor to report that the Soviet Union has signed the treaty.",
    "edits": [{"feature": 512, "mode": "add", "amount": 2.0, "unit": "max", "label": "peaks on “Soviet”"}],
}
EXTRACTED = {
    "extraction": "topk-l8-sotu",
    "samples": 1_000,
    "tokens": 127_000,
    "features": 4096,
    "seconds": 75.5,
    "phases": {"read model": 60.0, "encode": 10.0, "reduce": 5.0, "write": 0.5},
    "peak_memory_bytes": 2 * 2**30,
    "vectorization_batch_size": 64,
    "probe": {"fvu": 0.082, "l0": 32.0},
    "estimate": {"seconds": 70.0, "actual_seconds": 75.5, "off_by": 0.0786},
}
ESTIMATED = {
    "estimate": {
        "seconds": 71.5,
        "phases": {"prepare": 5.0, "model": 60.0, "encode": 6.0, "write": 0.5},
        "peak_memory_bytes": 2 * 2**30,
        "disk_bytes": 40 * 2**20,
        "work_bytes": 200 * 2**20,
        "memory_free_bytes": 20 * 2**30,
        "disk_free_bytes": 60 * 2**30,
        "samples": 1_000,
        "tokens": 127_000,
        "examples": 600_000,
        "vectorization_batch_size": 64,
        "why": "as asked",
        "device": "cpu",
    },
    "saes": [{"sae": "topk-l8", "features": 4096, "probe": {"fvu": 0.082, "l0": 32.0}}],
    "gpus": [
        {
            "name": name,
            "seconds": 9.5,
            "phases": {"model": 1.0, "saes": 0.5, "weights": 0.0, "host": 8.0},
            "peak_memory_bytes": 30 * 2**30,
            "memory_bytes": memory * 2**30,
            "fits": memory > 30,
            "dtype": "bfloat16",
            "basis": "arithmetic",
        }
        for name, memory in (("RTX 3090", 24), ("H100 SXM", 80))
    ],
}
TRAINED = {
    "sae": "topk-l8",
    "steps": 400,
    "tokens": 910_000,
    "seconds": 317.2,
    "tokens_per_second": 2868.9,
    "fvu": 0.082,
    "l0": 32.0,
    "dead": 2,
    "ce_recovered": 0.953,
}
LABELLED = {
    "extraction": "topk-l8-sotu",
    "labelled": 4094,
    "seconds": 6.2,
    "examples_of_labels": [feature(512), feature(3)],
}
FIRED = {
    "tokens": TOKENS,
    "features": [
        {"index": 512, "label": "peaks on “Soviet”", "activations": example(0, 9.5)["activations"]},
        {"index": 9, "label": None, "activations": [0.5] + [0.0] * (len(TOKENS) - 1)},
    ],
}
DEMO = {
    "model": "smollm2-135m",
    "dataset": "sotu",
    "sae": "topk-l8",
    "extraction": "topk-l8-sotu",
    "stages": [
        {"name": "model", "seconds": 14.0, "tokens_per_second": None},
        {"name": "train", "seconds": 280.0, "tokens_per_second": 1900.4},
        {"name": "extract", "seconds": 70.0, "tokens_per_second": 1800.0},
    ],
    "fvu": 0.082,
    "l0": 32.0,
    "dead": 2,
    "ce_recovered": 0.95,
    "features": [shown_feature(512), shown_feature(3)],
    "steering": STEERED,
}
DATASET = {
    "name": "sotu",
    "documents": 249,
    "samples": 18_900,
    "tokens": 2_400_000,
    "context": 128,
    "blank_documents": 1,
    "lengths": {"0": 512, "0.25": 4000, "0.5": 8000, "0.75": 12_000, "1": 36_000},
}
POINTS = [{"name": f"layers.{n}.resid_post", "width": 576} for n in range(30)]
MODEL = {
    "name": "smollm2-135m",
    "family": "llama",
    "layers": 30,
    "d_model": 576,
    "hookpoints": [{"name": "embed", "width": 576}, *POINTS],
}
SAE = {
    "name": "topk-l8",
    "kind": "topk",
    "d_in": 576,
    "d_sae": 4096,
    "hookpoint": "layers.8.resid_post",
    "model": "smollm2-135m",
    "metrics": {"fvu": 0.082, "l0": 32.0, "dead": 2, "ce_recovered": 0.95},
}
DOCTOR = {
    "checks": [
        {"name": "sqlite", "ok": True, "value": "3.53.0", "hint": ""},
        {"name": "gpu", "ok": None, "value": None, "hint": "none found: work runs on the CPU"},
        {"name": "disk", "ok": False, "value": "0.2 GiB free", "hint": "free some space"},
    ]
}


class ScriptedStudio:
    """Answers every question with a fixed document, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.failing: BaseException | None = None
        self.progress: list[records.Progress] = []
        self.notes: list[str] = []

    def run(self, spec: Any, progress: Any = None, notify: Any = None, **options: Any) -> dict[str, Any]:
        self._ask(spec, options)
        for each in self.progress:
            progress(each)
        for note in self.notes:
            notify(note)
        if self.failing:
            raise self.failing
        return {
            "AddDataset": DATASET,
            "AddModel": MODEL,
            "AddSae": SAE,
            "TrainSae": TRAINED,
            "ExtractFeatures": ESTIMATED if getattr(spec, "estimate", False) else EXTRACTED,
            "LabelFeatures": LABELLED,
            "FireText": FIRED,
            "SteerText": STEERED,
        }[type(spec).__name__]

    def demo(self, progress: Any, notify: Any) -> dict[str, Any]:
        self._ask("demo")
        return DEMO

    def close(self) -> None:
        self.closed = True

    def datasets(self) -> list[records.Dataset]:
        self._ask("datasets")
        return [records.Dataset("1", "sotu", "sotu/*.txt", "text", "f", 249, 1, 12_000_000, "2026-11-23T10:00:00")]

    def models(self) -> list[records.Model]:
        made = "2026-11-23T10:00:00"
        return [
            records.Model(
                "1",
                "smol",
                "HF/smol",
                None,
                "float32",
                "none",
                "llama",
                30,
                576,
                8192,
                49152,
                "f",
                "t",
                {},
                made,
            )
        ]

    def saes(self) -> list[records.SaeInfo]:
        made = "2026-11-23T10:00:00"
        info = records.SaeInfo(
            "1",
            "topk-l8",
            "topk",
            576,
            4096,
            "smol",
            "layers.8.resid_post",
            "sotu",
            "f",
            {"fvu": math.nan},
            made,
        )
        return [info]

    def extractions(self) -> list[Any]:
        row = {
            "name": "topk-l8-sotu",
            "features": 4096,
            "samples": 10,
            "tokens": 1270,
            "dataset": "sotu",
            "hookpoint": "layers.8.resid_post",
            "created": "2026-11-23T10:00:00",
        }
        return [SimpleNamespace(to_json=lambda: row)]

    def show_dataset(self, name: str, context: int | None = None, model: str | None = None) -> dict[str, Any]:
        if name != "sotu":
            raise NotFound(f"no dataset {name!r}", "known datasets: sotu")
        return DATASET

    def show_model(self, name: str) -> dict[str, Any]:
        return MODEL

    def show_sae(self, name: str) -> dict[str, Any]:
        return SAE

    def sample_dataset(self, name: str, **options: Any) -> dict[str, Any]:
        return {"samples": [{"sample": 3, "token_ids": [1, 2], "text": "Fellow-citizens\nof the \x1b[31mSenate"}]}

    def list_features(self, extraction: str, **options: Any) -> dict[str, Any]:
        self._ask("list_features", options)
        rows = [feature(0), feature(1, None), feature(2, "x" * 300), feature(3, None, dead=True)]
        return {
            "extraction": extraction,
            "total": 4096,
            "matching": 4096,
            "features": rows[: options["limit"] or None],
        }

    def show_feature(self, extraction: str, index: int) -> dict[str, Any]:
        return shown_feature(index)

    def remove(self, kind: str, name: str) -> dict[str, Any]:
        self._ask("remove", (kind, name))
        return {"removed": kind, "name": name}

    def export_features(self, extraction: str, path: Any) -> dict[str, Any]:
        return {"extraction": extraction, "features": 4096, "file": str(path)}

    def export_sae(self, name: str, folder: Any, format: str) -> dict[str, Any]:
        return {"sae": name, "folder": str(folder), "format": format}

    def doctor(self) -> dict[str, Any]:
        return DOCTOR

    def _ask(self, *question: Any) -> None:
        self.asked.append(question[0] if len(question) == 1 else question)


@pytest.fixture
def studio(monkeypatch: pytest.MonkeyPatch) -> ScriptedStudio:
    scripted = ScriptedStudio()
    monkeypatch.setattr(common.State, "studio", scripted)
    monkeypatch.setenv("COLUMNS", "80")
    return scripted


@pytest.fixture
def saescope(studio: ScriptedStudio, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run one command line; gives its exit code, stdout and stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        out, err = capsys.readouterr()
        return code, out, err

    return run
