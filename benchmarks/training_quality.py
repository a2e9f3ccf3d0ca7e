"""What SAEs of equal size are worth after equal tokens: ours and other libraries', over several seeds.

    python benchmarks/training_quality.py [--kinds topk,batchtopk] [--d-sae 4096] [--steps 300] [--seeds 3]
                                          [--trainers saescope,sparsify]
    python benchmarks/training_quality.py --kinds relu,gated --l1 0.5,1,2,5

Every library trains on the same activations (SmolLM2-135M, layers.12.resid_post, the demo's speeches) with its own
losses, AuxK included, in batches of 2,048 drawn by the seed, at two learning rates, of which the better one counts for
it; ours at its default alone. Then all are measured alike: FVU and L0 on activations that none was trained on, and
cross-entropy recovered with the reconstruction spliced in, on text that none has read. Mean and spread over seeds.
What a run does not measure stays in its file as it was, if it is of the same size.
--l1: ours alone, with each of these strengths, of a kind whose sparsity comes from a penalty.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

import saescope
from saescope.jobs.demo import HELD_BACK_TEXT, MODEL, bring
from saescope.jobs.evaluate_sae import spliced
from saescope.sae import KINDS, Sae, SaeConfig
from saescope.specs import TrainSae
from saescope.store import catalogue
from saescope.studio import Studio
from saescope.training import Trainer
from training import HERE, HOOKPOINT, PEERS, WORK, K, make_activations

TOKENS, HELD, BATCH, ROWS = 160_000, 8_192, 2_048, 24
RATES = (4e-4, 1.6e-3)
"""Peak learning rates: what sparsify and dictionary_learning take by default at 4,096 features, and ours."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default="topk,batchtopk")
    parser.add_argument("--d-sae", type=int, default=4096)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trainers", default="", help="by default every one that trains the kind")
    parser.add_argument("--l1", type=lambda text: [float(each) for each in text.split(",")], default=None)
    parser.add_argument("--out", type=Path, default=None, help="default: results/training-quality.json, none with --l1")
    given = parser.parse_args()
    file = WORK / f"activations-{TOKENS}.npy"
    if not file.exists():
        make_activations(file, TOKENS)
    x = torch.from_numpy(np.load(file, allow_pickle=False))
    training = WORK / "activations-quality.npy"
    np.save(training, x[:-HELD].numpy())
    table = []
    with tempfile.TemporaryDirectory() as folder, saescope.open(folder) as studio:
        bring(studio)
        for kind in given.kinds.split(","):
            runs = [("saescope", l1) for l1 in given.l1 or [None]]
            for name, l1 in runs if given.l1 else [*runs, *((name, None) for name in PEERS[kind])]:
                if given.trainers and name not in given.trainers.split(","):
                    continue
                tried = []
                for rate in (None,) if name == "saescope" else RATES:
                    saes = (trained(name, kind, training, given, rate, l1, seed) for seed in range(given.seeds))
                    found = [measure(sae, x[-HELD:], studio) for sae in saes]
                    tried.append({"lr": rate, "seeds": found, "fvu": statistics.mean(each["fvu"] for each in found)})
                best = min(tried, key=lambda each: each["fvu"])
                table.append({"kind": kind, "trainer": name, "l1": l1, **best, "tried": tried})
                print(line(table[-1]), flush=True)
    out = given.out or (None if given.l1 else HERE / "results" / "training-quality.json")
    if out is not None:
        size = {"steps": given.steps, "d_sae": given.d_sae}
        before = json.loads(out.read_text()) if out.exists() else {}
        if size.items() <= before.items():
            measured = {(row["kind"], row["trainer"]) for row in table}
            table += [row for row in before["rows"] if (row["kind"], row["trainer"]) not in measured]
        out.write_text(json.dumps({**size, "rows": table}, indent=1) + "\n")


def line(row: dict[str, Any]) -> str:
    """One row of the table."""
    parts = []
    for name in ("fvu", "ce_recovered", "l0", "dead"):
        values = [seed[name] for seed in row["seeds"]]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        parts.append(f"{name} {statistics.mean(values):.4f} ± {spread:.4f}")
    given = f"l1 {row['l1']}" if row["l1"] is not None else f"lr {row['lr'] or 'default'}"
    return f"{row['kind']:10s} {row['trainer']:20s} {given}  " + "  ".join(parts)


def trained(
    name: str, kind: str, file: Path, given: argparse.Namespace, rate: float | None, l1: float | None, seed: int
) -> Sae:
    """One SAE, for activations in their own units."""
    if name == "saescope":
        x = torch.from_numpy(np.load(file, allow_pickle=False))
        spec = TrainSae(
            model="m", dataset="d", hookpoint=HOOKPOINT, kind=kind, d_sae=given.d_sae, k=K, batch=BATCH, seed=seed,
            tokens=given.steps * BATCH, dead_after=50 * BATCH, **({} if l1 is None else {"l1": l1}),
        )  # fmt: skip
        trainer, draw = Trainer(spec, x.shape[1], total_steps=given.steps), torch.Generator().manual_seed(seed)
        for _ in range(given.steps):
            trainer.step(x[torch.randint(len(x), (BATCH,), generator=draw)])
        return trainer.sae()
    sys.path.insert(0, str(HERE / "peers"))
    from formats import environment

    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "sae.safetensors"
        words = [
            environment(), HERE / "peers" / "training_peer.py", name, kind, file, "--d-sae", given.d_sae,
            "--steps", given.steps, "--seed", seed, "--lr", rate, "--batch", BATCH, "--save", saved,
        ]  # fmt: skip
        done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{name} {kind}: {done.stderr[-2000:]}")
        weights = load_file(saved)
    scale = float((torch.from_numpy(np.load(file, allow_pickle=False)).square().sum(1).mean() / 576) ** 0.5)
    centred = bool(weights.pop("centred", torch.tensor(1.0)))
    weights["W_enc"] = weights["W_enc"] / scale
    weights["W_dec"], weights["b_dec"] = weights["W_dec"] * scale, weights["b_dec"] * scale
    form = {"topk": "topk", "batchtopk": "batchtopk"}[kind]
    cfg = SaeConfig(form, 576, given.d_sae, k=K if form == "topk" else None, apply_b_dec_to_input=centred)
    return KINDS[form](cfg, weights)


@torch.no_grad()
def measure(sae: Sae, x: torch.Tensor, studio: Studio) -> dict[str, float]:
    """FVU, L0 and silent features on held-out activations, cross-entropy recovered on held-out text."""
    error, active = 0.0, torch.zeros(sae.d_sae, dtype=torch.long)
    for part in x.split(1024):
        error += float((sae(part) - part).square().sum())
        active += (sae.encode(part) > 0).sum(0)
    _, model = studio.context.model(MODEL)
    rows = studio.context.tokens(catalogue.dataset(studio.db, HELD_BACK_TEXT), model, 128)
    chosen = np.linspace(0, rows.samples - 1, ROWS).astype(int)
    splice = spliced(sae, model, rows, chosen, HOOKPOINT, HOOKPOINT, False)
    return {
        "fvu": error / float((x - x.mean(0)).square().sum()),
        "l0": float(active.sum()) / len(x),
        "dead": int((active == 0).sum()),
        "ce_recovered": splice.ce_recovered or 0.0,
    }


if __name__ == "__main__":
    main()
