"""Jobs carried out by processes of their own, which may be killed: what they are given, and what they leave."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import torch

import saescope
from saescope.home import Home
from saescope.jobs import verbs
from saescope.sae import read_sae
from saescope.store import catalogue, jobs
from saescope.store.features import FeatureStore
from saescope.store.metrics import metrics
from saescope.studio import Studio

from .tiny import save_tiny_model

LINE = '{"text": "The people of the United States work in peace, and the Senate trades with every nation."}\n'
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}

_WORKER = """
import json, sys, threading, time
from saescope.home import Home
from saescope.jobs import worker
from saescope.jobs.context import Context
from saescope.store import database, jobs, open_database

asked = json.loads(sys.argv[1])
jobs.BEAT_SECONDS = 0.05
jobs.LEASE_SECONDS = database.IDLE_SECONDS = asked["lease"]
if asked["tensors"]:
    from saescope.extraction import sweep
    from saescope.jobs import extract_features

    extract_features.save_interval = lambda cost: 0.0
    sweep.BLOCK_TOKENS = 16 * 40
going = threading.Event()

def tell(progress):
    if progress.phase == asked["leave_in"]:
        going.set()

home = Home(asked["home"])
with open_database(home) as db:
    context = Context(home, db)
    jobs.abandon(db, asked["owner"])
    for id in asked["jobs"]:
        while (mine := jobs.claim(db, "device", asked["owner"], only=id)) is None:
            time.sleep(0.05)
        worker.carry_out(mine, context, tell, going=going)
"""
"""A worker of some jobs: beats, blocks and saves often, so that little work has many of them."""


def worker(
    home: Home,
    *ids: str,
    fault: str = "",
    leave_in: str = "",
    owner: str = "w",
    lease: float = 30.0,
    tensors: bool = True,
) -> "subprocess.Popen[str]":
    """A process that carries out jobs. leave_in: a phase in which it is told to go; tensors: not only datasets."""
    environment = {**os.environ, **ONE_THREAD, "SAESCOPE_FAULT": fault}
    asked = {"home": str(home.root), "jobs": ids, "leave_in": leave_in, "owner": owner, "lease": lease}
    asked["tensors"] = tensors
    words = [sys.executable, "-c", _WORKER, json.dumps(asked)]
    return subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True)


def work(home: Home, *ids: str, fault: str = "", leave_in: str = "", tensors: bool = True) -> int:
    """Carry out jobs in a process of its own; how it ended."""
    process = worker(home, *ids, fault=fault, leave_in=leave_in, tensors=tensors)
    try:
        _, said = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode <= 0 or leave_in, said
    return process.returncode


def prepared(folder: Path, texts: dict[str, int]) -> Home:
    """A home with datasets of so many lines, the model `tiny`, and the SAE `first`."""
    folder.mkdir(parents=True, exist_ok=True)
    with saescope.open(folder / "home") as studio:
        studio.run(saescope.AddModel(name="tiny", source=str(save_tiny_model(folder / "model"))))
        for name, lines in texts.items():
            (folder / f"{name}.jsonl").write_text(LINE * lines)
            studio.run(saescope.AddDataset(name=name, source=str(folder / f"{name}.jsonl")))
        studio.run(train("first", next(iter(texts)), tokens=64 * 100))
        jobs.prune(studio.db, 0)
    return Home(folder / "home")


def train(name: str, dataset: str, **changes: Any) -> saescope.TrainSae:
    fields: dict[str, Any] = {
        "model": "tiny", "dataset": dataset, "hookpoint": "layers.1.resid_post", "d_sae": 48, "k": 4, "context": 16,
        "batch": 64, "tokens": 64 * 200, "checkpoint_every": 20, "metrics_every": 20, "buffer": 512,
    }  # fmt: skip
    return saescope.TrainSae(**{**fields, **changes}, name=name)


def extract(name: str, dataset: str, **changes: Any) -> saescope.ExtractFeatures:
    fields: dict[str, Any] = {"saes": ("first",), "dataset": dataset, "context": 16, "force": True}
    return saescope.ExtractFeatures(**{**fields, **changes}, name=name)


def queue(home: Home, spec: Any) -> str:
    with Studio(home) as studio:
        return jobs.add(studio.db, verbs.verb(type(spec)), spec.name, spec.model_dump(mode="json")).id


def result(home: Home, name: str) -> tuple[Any, pa.Table]:
    """What a job has made: documents, weights and metrics, or features and examples."""
    with Studio(home) as studio:
        dataset = next((each for each in studio.datasets() if each.name == name), None)
        if dataset is not None:
            table = pa.parquet.read_table(home.artifact("datasets", dataset.id) / "documents.parquet")
            return dataset.fingerprint, table
        sae = next((each for each in studio.saes() if each.name == name), None)
        if sae is not None:
            folder = home.artifact("saes", sae.id)
            return read_sae(folder).weights, metrics(folder).drop_columns(["tokens_per_second"])
        store = FeatureStore(home.artifact("extractions", catalogue.extraction(studio.db, name).id))
        columns = pa.parquet.read_schema(next((store.folder / "examples").iterdir())).names
        return pa.parquet.read_table(store.folder / "features.parquet"), pa.concat_tables(store.each_part(columns))


def same(one: tuple[Any, Any], other: tuple[Any, Any]) -> bool:
    """Whether two results are equal to the last bit."""
    if not one[1].equals(other[1]):
        return False
    if isinstance(one[0], dict):
        return one[0].keys() == other[0].keys() and all(torch.equal(one[0][key], other[0][key]) for key in one[0])
    return one[0].equals(other[0]) if isinstance(one[0], pa.Table) else one[0] == other[0]


def orphans(home: Home) -> list[str]:
    """What lies in a home at rest and should not: in the making, or made and not listed."""
    with Studio(home) as studio:
        listed = {
            kind: {record.id for record in getattr(studio, kind)()}
            for kind in ("datasets", "models", "saes", "extractions")
        }
    made = [
        f"{kind}/{folder.name}"
        for kind, ids in listed.items()
        for folder in home.artifact(kind, "").glob("*")
        if folder.name not in ids
    ]
    drafts = [str(path.relative_to(home.root)) for path in home.artifacts.rglob(".*")]
    return [*made, *drafts, *(f"work/{path.name}" for path in home.work.iterdir())]
