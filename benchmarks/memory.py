"""Peak memory of an extraction's state and work at 1x, 4x and 16x the samples, one process for each size.

    python benchmarks/memory.py [--samples 256] [--d-sae 4096]

On synthetic activations: a model would only hide what the extraction itself holds.
"""

import argparse
import json
import resource
import subprocess
import sys

import numpy as np
import torch

from saescope.extraction.state import ExtractionState, Settings
from saescope.extraction.sweep import Reader, sweep
from saescope.sae import KINDS, SaeConfig

CONTEXT, D_IN, K = 128, 64, 32


def peak(samples: int, d_sae: int) -> int:
    """Extract synthetic activations here; the peak memory of this process in bytes."""

    class Rows:
        context = CONTEXT
        tokens = np.ones((samples, CONTEXT), dtype=np.int32)
        lengths = np.full(samples, CONTEXT, dtype=np.int32)

        def valid(self, rows: slice, *, include_special: bool = False) -> np.ndarray:
            return np.ones((len(range(*rows.indices(samples))), CONTEXT), dtype=bool)

    Rows.samples = samples
    generator = torch.Generator().manual_seed(0)
    decoder = torch.nn.functional.normalize(torch.randn(d_sae, D_IN, generator=generator), dim=1)
    weights = {
        "W_enc": decoder.T.contiguous(),
        "b_enc": torch.zeros(d_sae),
        "W_dec": decoder,
        "b_dec": torch.zeros(D_IN),
    }
    sae = KINDS["topk"](SaeConfig("topk", d_in=D_IN, d_sae=d_sae, k=K), weights)

    def read(ids, hookpoints):
        return {name: torch.randn(*ids.shape, D_IN, generator=generator) for name in hookpoints}

    with torch.inference_mode():
        for _ in sweep(read, [Reader(sae, "x", ExtractionState(Settings(d_sae=d_sae)))], Rows()):
            pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--d-sae", type=int, default=4096)
    parser.add_argument("--here", action="store_true", help="in this process, this size only")
    arguments = parser.parse_args()
    if arguments.here:
        print(peak(arguments.samples, arguments.d_sae))
        return
    peaks = {}
    for factor in (1, 4, 16):
        words = ["--here", "--samples", str(arguments.samples * factor), "--d-sae", str(arguments.d_sae)]
        done = subprocess.run([sys.executable, __file__, *words], capture_output=True, text=True, check=True)
        peaks[f"{factor}x"] = int(done.stdout)
    found = {"samples": arguments.samples, "d_sae": arguments.d_sae, "peak_bytes": peaks}
    print(json.dumps({**found, "growth": peaks["16x"] / peaks["1x"]}, indent=1))


if __name__ == "__main__":
    main()
