"""Write tests/golden/training: what each library's own trainer makes of the same weights and the same batch.

    python benchmarks/peers/training_golden.py

tests/oracles/test_training_golden.py compares ours with it, without the libraries; docs/training.md says where they
differ. Environments are made if need be; SAELens and sparsify are taken from those of SAEDashboard and delphi.
"""

import argparse
import shutil
import subprocess
from pathlib import Path

import torch
from environments import environment, python_of
from safetensors.torch import save_file
from torch import Tensor

HERE = Path(__file__).resolve().parent
GOLDEN = HERE.parents[1] / "tests" / "golden" / "training"
D_IN, D_SAE, BATCH, DEAD = 16, 64, 48, 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    pythons = {
        "saelens": python_of("saedashboard"),
        "dictionary_learning": environment("dictionary_learning", "requirements-dictionary_learning.txt"),
        "sparsify": python_of("delphi"),
    }
    shutil.rmtree(GOLDEN, ignore_errors=True)
    GOLDEN.mkdir(parents=True)
    save_file(inputs(), GOLDEN / "inputs.safetensors")
    for library, python in pythons.items():
        subprocess.run([python, HERE / "training_losses.py", library, GOLDEN], check=True)
    for path in sorted(GOLDEN.iterdir()):
        print(f"{path.stat().st_size / 1000:6.1f} kB  {path.name}")


def inputs() -> dict[str, Tensor]:
    """A batch and weights in float64; the last DEAD features are called dead and are weakly active on every row."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    def between(low: float, high: float, n: int) -> Tensor:
        return torch.rand(n, generator=generator, dtype=torch.float64) * (high - low) + low

    def unit(rows: Tensor) -> Tensor:
        return rows / rows.norm(dim=1, keepdim=True)

    encoder, b_enc, decoder = unit(draw(D_SAE, D_IN)), draw(D_SAE) * 0.1, unit(draw(D_SAE, D_IN))
    encoder[-DEAD:] *= 0.02
    b_enc[-DEAD:] = between(0.2, 0.3, DEAD)
    closed = b_enc.clone()
    closed[-DEAD:] -= 1
    return {
        "x": draw(BATCH, D_IN) + draw(D_IN),
        "y": draw(BATCH, D_IN) + draw(D_IN),
        "dead": torch.arange(D_SAE) >= D_SAE - DEAD,
        "encoder": encoder,
        "b_enc": b_enc,
        "b_enc_closed": closed,
        "decoder": decoder,
        "decoder_free": decoder * between(0.5, 1.5, D_SAE)[:, None],
        "b_dec": draw(D_IN) * 0.5,
        "threshold": between(0.6, 1.2, D_SAE).float().double(),  # SAELens keeps it in float32
        "r_mag": draw(D_SAE) * 0.2,
        "b_mag": draw(D_SAE) * 0.2,
        "skip": draw(D_IN, D_IN) * 0.1,
    }


if __name__ == "__main__":
    main()
