"""A home with documents, a model whose embedding has more rows than its tokenizer has tokens, and untrained SAEs."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import saescope
from saescope.sae import KINDS, SaeConfig, save_sae
from saescope.studio import Studio
from support.tiny import save_tiny_model

D_SAE = 13


def write_sae(folder: Path, **changes: object) -> Path:
    """A folder with a random SAE of 13 features for the tiny model; equal calls write equal weights."""
    decoder = torch.randn(D_SAE, 32, generator=torch.Generator().manual_seed(0))
    decoder /= decoder.norm(dim=1, keepdim=True)
    weights = {
        "W_enc": decoder.T.contiguous(),
        "b_enc": torch.zeros(D_SAE),
        "W_dec": decoder,
        "b_dec": torch.zeros(32),
    }
    cfg = replace(SaeConfig("topk", 32, D_SAE, k=4), **changes)  # type: ignore[arg-type]
    save_sae(KINDS[cfg.kind](cfg, weights), folder)
    return folder


def write_transcoder(folder: Path) -> Path:
    """A folder with a random skip transcoder of 13 features, which does not say where it reads and writes."""
    generator = torch.Generator().manual_seed(1)
    cfg = SaeConfig("topk", 32, D_SAE, k=4, apply_b_dec_to_input=False, d_out=32, skip=True)
    shapes = KINDS["topk"].shapes(cfg)
    save_sae(
        KINDS["topk"](cfg, {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}), folder
    )
    return folder


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    """Dataset `text`, model `wide` (400 rows, 384 tokens), SAE `sae` at layers.1.resid_post."""
    documents = tmp_path / "text.jsonl"
    line = '{"text": "The people of the United States work in peace, and the Senate trades with every nation."}\n'
    documents.write_text(line * 40)
    with saescope.open(tmp_path / "home") as studio:
        studio.run(saescope.AddDataset(name="text", source=str(documents)))
        studio.run(saescope.AddModel(name="wide", source=str(save_tiny_model(tmp_path / "model", vocab_size=400))))
        add_sae(studio, "sae", write_sae(tmp_path / "sae"))
        yield studio


def add_sae(studio: Studio, name: str, folder: Path, hookpoint: str = "layers.1.resid_post") -> None:
    studio.run(saescope.AddSae(name=name, source=str(folder), model="wide", hookpoint=hookpoint))
