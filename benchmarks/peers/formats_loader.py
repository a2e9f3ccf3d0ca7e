"""Run by formats.py in the libraries' own environment: load each exported SAE and compare with what ours computed."""

import os
import sys
import warnings
from pathlib import Path

import torch
from safetensors.torch import load_file

warnings.filterwarnings("ignore")
os.environ["SPARSIFY_DISABLE_TRITON"] = "1"  # its kernels need a GPU


def saelens(folder: Path, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    from sae_lens import SAE

    sae = SAE.load_from_disk(folder, dtype="float32")
    heads = x.view(len(x), 4, -1) if sae.cfg.reshape_activations == "hook_z" else x
    return sae.encode(heads), sae(heads).reshape(len(x), -1)


def dictionary_learning(folder: Path, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    from dictionary_learning.utils import load_dictionary

    dictionary, _ = load_dictionary(str(folder), "cpu")
    return dictionary.encode(x), dictionary(x)


def sparsify(folder: Path, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    from sparsify import SparseCoder

    coder = SparseCoder.load_from_disk(folder, device="cpu")
    coder.cfg.multi_topk = False  # a training loss, whose second pass forward() would give back instead
    values, indices, _ = coder.encode(x)
    return torch.zeros(len(x), coder.num_latents).scatter_(1, indices, values), coder(x).sae_out


LOADERS = {"saelens": saelens, "dictionary_learning": dictionary_learning, "sparsify": sparsify}


def apart(theirs: torch.Tensor, ours: torch.Tensor) -> float:
    """The largest difference in a row, relative to the larger of 1 and the row's largest magnitude."""
    return float(((theirs - ours).abs().amax(1) / ours.abs().amax(1).clamp(min=1)).max())


def main(work: Path) -> int:
    failed = 0
    folders = sorted(work.iterdir())
    for folder in folders:
        name, format = folder.name.rsplit("--", 1)
        ours = load_file(folder / "ours.safetensors")
        try:
            with torch.no_grad():
                features, reconstruction = LOADERS[format](folder / "layers.5", ours["x"])
            off = apart(features, ours["features"]), apart(reconstruction, ours["reconstruction"])
            same = torch.equal(features != 0, ours["features"] != 0)
            good = max(off) <= 1e-5
            print(f"{'ok' if good else 'WRONG':8} {name} as {format}: features {off[0]:.1e}, "
                  f"reconstruction {off[1]:.1e}, active features {'the same' if same else 'differ'}")  # fmt: skip
        except Exception as error:
            good = False
            print(f"{'WRONG':8} {name} as {format}: {type(error).__name__}: {str(error)[:200]}")
        failed += not good
    print(f"{len(folders) - failed} of {len(folders)} exported SAEs load and agree")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
