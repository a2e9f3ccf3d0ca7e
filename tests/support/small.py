"""One small home: real documents, a tiny random model, a trained SAE, an extraction, labels."""

import random
from pathlib import Path

import saescope
from saescope.studio import Studio

from .tiny import save_tiny_model

_WORDS = (
    "the people of these states work in peace and trade with every nation while taxes and war weigh on the union "
    "senate house treasury army navy school harvest river railway law vote freedom duty debt gold silver bread"
).split()


def write_documents(folder: Path, count: int = 60) -> Path:
    """Documents of plain sentences, deterministic."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(0)
    for number in range(count):
        sentences = [" ".join(chance.choices(_WORDS, k=chance.randint(4, 12))).capitalize() + "." for _ in range(12)]
        (folder / f"{number:03d}.txt").write_text(" ".join(sentences))
    return folder


def small_studio(root: Path, documents: str | None = None, model: Path | None = None) -> Studio:
    """A studio with documents `text`, model `tiny`, SAE `sae`, extraction `found` and its labels, in `root`/home.

    `documents` and `model`: others than the usual ones.
    """
    studio = saescope.open(root / "home")
    source = documents or str(write_documents(root / "text") / "*.txt")
    studio.run(saescope.AddDataset(name="text", source=source))
    studio.run(saescope.AddModel(name="tiny", source=str(model or save_tiny_model(root / "model"))))
    studio.run(
        saescope.TrainSae(
            name="sae",
            model="tiny",
            dataset="text",
            hookpoint="layers.1.resid_post",
            d_sae=64,
            k=6,
            tokens=40_000,
            batch=512,
            buffer=8192,
            reuse=2,
            context=32,
        )
    )
    studio.run(saescope.ExtractFeatures(saes=("sae",), dataset="text", context=32, top_k=8, window=12, name="found"))
    studio.run(saescope.LabelFeatures(extraction="found"))
    return studio
