"""A very large dictionary from encoder to `features show`: seconds and peak memory of every phase.

    python benchmarks/million.py [--features 1000000] [--samples 32] [--fill 0] [--save] [--limit 16] [--memory GIB]

A random TopK SAE reads random activations: they go through the real sweep, state, tables, store and studio, in a home
of their own that is removed afterwards. No language model runs. At a million features the weights alone are 4.6 GB,
and the encoder takes 1.2 GFLOP a token: few samples can be swept here, and they fill little of the state.
`--fill N` takes in N more samples of 128 tokens in which any features are active, 400 a token: 2,000 of them put about
100 rows into the heaps of each of a million features.

--limit: GiB of anonymous memory that the process may have at all, asked of the system (RLIMIT_DATA).
--memory: GiB that rows of the state may take before they go to a file; by default half of what is free.
--vocabulary: tokens of the random unembedding; 49,152 of them cost what encoding as many tokens does.
"""

import argparse
import json
import platform
import resource
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import torch

import saescope
from saescope.extraction.groups import ActiveBatch
from saescope.extraction.spill import Spill
from saescope.extraction.state import ExtractionState, Settings, state_bytes
from saescope.extraction.sweep import Reader, sweep
from saescope.extraction.tables import example_tables, feature_table
from saescope.extraction.weights import WeightFacts, weight_facts
from saescope.home import new_id
from saescope.jobs import checkpoint
from saescope.jobs.weights import keep_facts
from saescope.records import Dataset, Extraction, Model, SaeInfo
from saescope.sae import KINDS, Sae, SaeConfig, load_sae, save_sae
from saescope.store import catalogue
from saescope.store.features import write_extraction
from saescope.studio import Studio

CONTEXT, FILLED_L0 = 128, 400


class Rows:
    """Full rows of random tokens, of which the first does not count."""

    context = CONTEXT

    def __init__(self, samples: int, vocabulary: int) -> None:
        self.samples = samples
        self.tokens = np.random.default_rng(0).integers(0, vocabulary, (samples, CONTEXT), dtype=np.int32)
        self.lengths = np.full(samples, CONTEXT, dtype=np.int32)

    def valid(self, rows: slice, *, include_special: bool = False) -> np.ndarray:
        held = np.ones((len(range(*rows.indices(self.samples))), CONTEXT), dtype=bool)
        held[:, 0] = include_special
        return held


class Meter:
    """Says how long each phase took and how much memory the process had at most, looking ten times a second."""

    def __init__(self) -> None:
        self.peak = {"anonymous": 0, "file": 0}
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            found = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
            now = {"anonymous": found["RssAnon"], "file": found["RssFile"]}
            self.peak = {name: max(self.peak[name], 1024 * int(now[name].split()[0])) for name in now}
            time.sleep(0.1)

    @contextmanager
    def phase(self, name: str, **figures: object) -> Iterator[dict]:
        self.peak = dict.fromkeys(self.peak, 0)
        clock = time.perf_counter()
        yield figures
        seconds = round(time.perf_counter() - clock, 3)
        time.sleep(0.12)
        peaks = {f"{kind}_gib": round(size / 2**30, 2) for kind, size in self.peak.items()}
        print(json.dumps({"phase": name, "seconds": seconds, **peaks, **figures}), flush=True)


def random_sae(features: int, d_in: int, k: int) -> Sae:
    generator = torch.Generator().manual_seed(0)
    decoder = torch.empty(features, d_in)
    for part in decoder.split(16_384):
        part.normal_(generator=generator)
        part /= part.norm(dim=1, keepdim=True)
    weights = {"W_enc": decoder.T.contiguous(), "b_enc": torch.zeros(features), "W_dec": decoder}
    return KINDS["topk"](SaeConfig("topk", d_in, features, k=k), {**weights, "b_dec": torch.zeros(d_in)})


def any_batch(samples: range, features: int, generator: torch.Generator) -> ActiveBatch:
    """Samples in which any features are active, FILLED_L0 a token."""
    shape = (len(samples) * (CONTEXT - 1), FILLED_L0)
    feature = torch.randint(features, shape, generator=generator).sort(dim=1).values
    kept = torch.ones(shape, dtype=torch.bool)
    kept[:, 1:] = feature[:, 1:] != feature[:, :-1]
    row = kept.nonzero()[:, 0]
    return ActiveBatch(
        samples=torch.tensor(samples),
        lengths=torch.full((len(samples),), CONTEXT),
        valid_tokens=torch.full((len(samples),), CONTEXT - 1),
        sample=row // (CONTEXT - 1),
        position=row % (CONTEXT - 1) + 1,
        feature=feature[kept],
        value=torch.rand(len(row), generator=generator) * 8 + 0.01,
    )


def listed(studio: Studio, arguments: argparse.Namespace) -> tuple[SaeInfo, Extraction]:
    """Rows of the catalogue for a model without weights, a dataset without text, the SAE and its extraction."""
    sae = SaeInfo(new_id(), "sae", "topk", arguments.d_in, arguments.features, "model", "embed", "", "", {}, "")
    model = Model(
        new_id(), "model", "", None, "", "", "", 2, arguments.d_in, CONTEXT, arguments.vocabulary, "", "", {}, ""
    )
    catalogue.add_dataset(studio.db, Dataset(new_id(), "dataset", "", None, "", 1, 0, 1, ""))
    catalogue.add_model(studio.db, model)
    catalogue.add_sae(studio.db, sae)
    extraction = Extraction(
        new_id(), "million", "sae", "model", "dataset", "embed", 1, 1, arguments.features, CONTEXT, 100, {}, {}, ""
    )  # fmt: skip
    catalogue.add_extraction(studio.db, extraction)
    folder = studio.home.artifact("models", model.id)
    folder.mkdir(parents=True)
    (folder / "vocabulary.json").write_text(json.dumps([f"token{id}" for id in range(arguments.vocabulary)]))
    return sae, extraction


def facts_of(sae: Sae, vocabulary: int) -> WeightFacts:
    unembedding = torch.randn(vocabulary, sae.d_in, generator=torch.Generator().manual_seed(1))
    *_, (_, facts) = weight_facts(sae.W_dec.detach(), unembedding)
    assert facts is not None
    return facts


def run(arguments: argparse.Namespace, folder: Path) -> None:
    studio, meter = saescope.open(folder), Meter()
    record, extraction = listed(studio, arguments)
    weights = studio.home.artifact("saes", record.id)
    with meter.phase("make the SAE"):
        save_sae(random_sae(arguments.features, arguments.d_in, arguments.k), weights)
    with meter.phase("load the SAE"):
        sae = load_sae(weights)
    with meter.phase("weight facts", vocabulary=arguments.vocabulary) as figures:
        facts = facts_of(sae, arguments.vocabulary)
        keep_facts(facts, record, sae, studio.home)
        figures["neighbors"] = "in the table" if facts.neighbor_ids.shape[1] else "when looked at"

    rows = Rows(arguments.samples + arguments.fill, arguments.vocabulary)
    settings = Settings(arguments.features, top_k=min(arguments.top_k, rows.samples))
    foretold = state_bytes(settings)
    with meter.phase("make the state", rows_gib=foretold.payload / 2**30, besides_gib=foretold.memory / 2**30):
        if arguments.memory is None:
            (state,) = checkpoint.new_states(studio.home.work, [settings], "cpu")
        else:
            state = ExtractionState(settings, spill=Spill(int(arguments.memory * 2**30), studio.home.work))
    swept(state, sae, rows, arguments, meter)
    filled(state, arguments, meter)
    del sae
    if arguments.save:
        with meter.phase("save the state"):
            checkpoint.save_states(studio.home.work / "run", [state])
        with meter.phase("load it again"):
            states = checkpoint.load_states(studio.home.work / "run", [settings], "cpu")
            assert states[0].samples == state.samples
            state = states.pop()
        shutil.rmtree(studio.home.work / "run")
    with meter.phase("tables and files") as figures:
        with studio.home.making("extractions", extraction.id) as draft:
            write_extraction(draft, feature_table(state, facts), example_tables(state, rows))
        files = studio.home.artifact("extractions", extraction.id).rglob("*.parquet")
        figures["gib"] = round(sum(file.stat().st_size for file in files) / 2**30, 2)
    del state, facts
    look(studio, arguments.features, meter)


def swept(state: ExtractionState, sae: Sae, rows: Rows, arguments: argparse.Namespace, meter: Meter) -> None:
    generator = torch.Generator().manual_seed(2)

    def read(ids: torch.Tensor, hookpoints: list[str]) -> dict[str, torch.Tensor]:
        return {name: torch.randn(*ids.shape, arguments.d_in, generator=generator) for name in hookpoints}

    with meter.phase("sweep", samples=arguments.samples) as figures, torch.inference_mode():
        for each in sweep(read, [Reader(sae, "embed", state)], rows, stop=arguments.samples):
            figures["of_which"] = {name: round(seconds, 2) for name, seconds in each.seconds.items()}
        figures["tokens"] = state.tokens


def filled(state: ExtractionState, arguments: argparse.Namespace, meter: Meter) -> None:
    generator = torch.Generator().manual_seed(3)
    with meter.phase("fill", samples=arguments.fill) as figures:
        reducing = 0.0
        for first in range(arguments.samples, arguments.samples + arguments.fill, 32):
            samples = range(first, min(first + 32, arguments.samples + arguments.fill))
            batch = any_batch(samples, arguments.features, generator)
            clock = time.perf_counter()
            state.update(batch)
            reducing += time.perf_counter() - clock
        seen = state.statistics.columns["active_samples"].float()
        figures |= {"reducing": round(reducing, 2), "samples_of_a_feature": round(float(seen.mean()), 1)}


def look(studio: Studio, features: int, meter: Meter) -> None:
    asked = np.random.default_rng(4).integers(0, features, 20).tolist()
    with meter.phase("features list, first"):
        studio.list_features("million", limit=50)
    with meter.phase("features list, by density"):
        studio.list_features("million", sort="density", where="max>1", limit=50)
    with meter.phase("features show, first") as figures:
        shown = studio.show_feature("million", asked[0])
        figures |= {"examples": len(shown["examples"]), "neighbors": len(shown["neighbors"])}
    seconds = []
    for index in asked:
        clock = time.perf_counter()
        studio.show_feature("million", index)
        seconds.append(time.perf_counter() - clock)
    with meter.phase(
        "features show, twenty more", median=round(float(np.median(seconds)), 3), most=round(max(seconds), 3)
    ):
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=int, default=1_000_000)
    parser.add_argument("--d-in", type=int, default=576)
    parser.add_argument("--k", type=int, default=32, help="active features of a token")
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--fill", type=int, default=0)
    parser.add_argument("--top-k", type=int, default=100)
    parser.add_argument("--vocabulary", type=int, default=49_152)
    parser.add_argument("--save", action="store_true", help="save the state and go on from what was saved")
    parser.add_argument("--limit", type=float)
    parser.add_argument("--memory", type=float)
    parser.add_argument("--folder", type=Path, help="where the home is made: some 60 GiB when it is full and saved")
    arguments = parser.parse_args()
    if arguments.limit:
        size = int(arguments.limit * 2**30)
        resource.setrlimit(resource.RLIMIT_DATA, (size, size))
    machine = {"processor": platform.processor() or platform.machine(), "cores": torch.get_num_threads()}
    free = round(psutil.virtual_memory().available / 2**30, 1)
    print(json.dumps({"machine": machine, "free_gib": free, "setting": vars(arguments)}, default=str), flush=True)
    folder = Path(tempfile.mkdtemp(dir=arguments.folder))
    try:
        run(arguments, folder)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
