"""A step of training against the bare encoder product, and against other libraries on the same activations.

    python benchmarks/training.py [--kinds topk,batchtopk] [--d-sae 16384] [--steps 24] [--peers] [--rounds 2]

Real activations (SmolLM2-135M, layers.12.resid_post, the demo's speeches; made once) lie in memory. Every trainer runs
in a process of its own, in turns, which times some steps after warming up, and the bare product (batch x d_in by
d_in x d_sae, float32, into memory that is there) in between. FVU at the end is that of the last steps' batches; equal
steps see equal tokens. --peers: SAELens, dictionary_learning and sparsify, installed once beside benchmarks/peers/.

Ours has everything on that a run has: projection of the gradient, decoder norms, AuxK, clipping, dead features.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
WORK = HERE / "peers" / "work"
PEERS = {
    "topk": ("sparsify", "dictionary_learning", "sae_lens"),
    "batchtopk": ("dictionary_learning", "sae_lens"),
    "jumprelu": ("sae_lens",),
    "relu": ("dictionary_learning", "sae_lens"),
}
BATCH, K, HOOKPOINT = 4096, 32, "layers.12.resid_post"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default="topk,batchtopk,jumprelu,relu")
    parser.add_argument("--d-sae", type=int, default=16_384)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--tokens", type=int, default=80_000, help="activations in memory, read again and again")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--dead", type=int, default=0, help="features declared dead, to time AuxK")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "training.json")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    file = WORK / f"activations-{arguments.tokens}.npy"
    if arguments.worker:
        print(json.dumps(ours(arguments.worker, file, arguments.d_sae, arguments.steps, arguments.dead)))
        return
    if not file.exists():
        make_activations(file, arguments.tokens)
    rows = []
    for kind in arguments.kinds.split(","):
        rounds: dict[str, list[dict[str, Any]]] = {}
        for _ in range(arguments.rounds):
            for name in ("saescope", *(PEERS.get(kind, ()) if arguments.peers else ())):
                rounds.setdefault(name, []).append(run(name, kind, file, arguments))
        for name, found in rounds.items():
            rows.append({"kind": kind, "trainer": name, **middle(found), "rounds": found})
            print(line(rows[-1], rows), flush=True)
    about = {"machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}}
    about |= {"d_in": 576, "d_sae": arguments.d_sae, "batch": BATCH, "k": K, "steps": arguments.steps, "rows": rows}
    arguments.out.write_text(json.dumps(about, indent=1) + "\n")


def line(row: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """One row of the table."""
    own = next(each for each in rows if each["kind"] == row["kind"] and each["trainer"] == "saescope")
    return (
        f"{row['kind']:10s} {row['trainer']:20s} {row['tokens_per_second']:8,.0f} tokens/s  "
        f"{row['of_matmul']:5.2f} of the product  ours is {own['of_matmul'] / row['of_matmul']:5.1f}x  "
        f"{row['peak_bytes'] / 2**30:5.2f} GiB  FVU {row['fvu']:.3f}  L0 {row['l0']:.0f}  dead {row['dead']}"
    )


def middle(found: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: statistics.median(each[name] for each in found) for name in found[0]}


def run(name: str, kind: str, file: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """One trainer in a process of its own; what it prints last is its figures."""
    flags = ["--d-sae", str(arguments.d_sae), "--steps", str(arguments.steps), "--tokens", str(arguments.tokens)]
    if name == "saescope":
        words = [sys.executable, __file__, "--worker", kind, *flags, "--dead", str(arguments.dead)]
    else:
        sys.path.insert(0, str(HERE / "peers"))
        from formats import environment

        words = [str(environment()), str(HERE / "peers" / "training_peer.py"), name, kind, str(file), *flags[:4]]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} {kind}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def ours(kind: str, file: Path, d_sae: int, steps: int, dead: int) -> dict[str, Any]:
    """Our trainer: tokens a second, of the product, peak memory, FVU."""
    import torch

    from saescope.specs import TrainSae
    from saescope.training import Trainer

    x = torch.from_numpy(np.load(file, allow_pickle=False))
    product = Product(x)
    before = peak_bytes()
    spec = TrainSae(model="m", dataset="d", hookpoint=HOOKPOINT, kind=kind, d_sae=d_sae, k=K, batch=BATCH)
    trainer = Trainer(spec, x.shape[1], total_steps=steps)
    answer = timed(product, steps, lambda batch: trainer.step(batch), dead=lambda: _kill(trainer, dead))
    last = answer.pop("last")
    return {
        **answer,
        "peak_bytes": peak_bytes() - before,
        "fvu": last.fvu,
        "l0": last.l0,
        "dead": last.dead,
    }


def _kill(trainer: Any, dead: int) -> None:
    """Declare features dead before a step, so that AuxK has so many to work on."""
    if dead:
        trainer.silent[:dead] = trainer.dead_after


def peak_bytes() -> int:
    """The most memory this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Product:
    """The bare product that steps are compared with; its memory is there before a trainer's is counted."""

    def __init__(self, x: Any) -> None:
        import torch

        self.x, self.weight, self.out = x, torch.randn(x.shape[1], 16_384), torch.zeros(BATCH, 16_384)
        self.seconds(x[:BATCH])

    def seconds(self, batch: Any) -> float:
        import torch

        clock = time.perf_counter()
        torch.mm(batch, self.weight, out=self.out)
        return time.perf_counter() - clock


def timed(product: Product, steps: int, step: Any, dead: Any = lambda: None) -> dict[str, Any]:
    """Steps on batches of x, and the bare product between them; the first quarter is warming up."""
    own, bare, last, x = [], [], None, product.x
    for number in range(steps):
        start = number * BATCH % (len(x) - BATCH)
        batch = x[start : start + BATCH]
        dead()
        clock = time.perf_counter()
        last = step(batch)
        own.append(time.perf_counter() - clock)
        bare.append(product.seconds(batch))
    seconds, least = (statistics.median(each[steps // 4 :]) for each in (own, bare))
    return {"tokens_per_second": BATCH / seconds, "of_matmul": least / seconds, "matmul": BATCH / least, "last": last}


def make_activations(file: Path, tokens: int) -> None:
    """Activations of the demo's model on the demo's text, in a random order."""
    import tempfile

    import torch

    from saescope.jobs.demo import MODEL, TRAINING_TEXT, bring
    from saescope.store import catalogue
    from saescope.studio import open_studio

    with tempfile.TemporaryDirectory() as home, open_studio(home) as studio:
        bring(studio)
        _, model = studio.context.model(MODEL)
        rows = studio.context.tokens(catalogue.dataset(studio.db, TRAINING_TEXT), model, 128)
        random, parts, found = np.random.default_rng(0), [], 0
        for numbers in np.array_split(random.permutation(rows.samples), rows.samples // 32):
            ids = torch.from_numpy(rows.tokens[np.sort(numbers)].astype(np.int64))
            valid = torch.from_numpy(rows.valid(np.sort(numbers)))
            parts.append(model.read(ids, [HOOKPOINT])[HOOKPOINT][valid].float().numpy())
            found += len(parts[-1])
            if found >= tokens:
                break
    x = np.concatenate(parts)[:tokens]
    random.shuffle(x)
    file.parent.mkdir(parents=True, exist_ok=True)
    np.save(file, x)


if __name__ == "__main__":
    main()
