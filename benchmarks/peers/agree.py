"""Whether the tools that were run found what we found.

    python agree.py WORK [TOOL ...]

Exits with 1, and says where, when a difference has no cause that comparison.py knows.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from comparison import Ours, compare
from setting import Found, Setting

import saescope
from saescope.models.language_model import LanguageModel
from saescope.models.load import load_model
from saescope.sae import Sae, load_sae

BLOCK = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("tools", nargs="*", help="those that have been run, unless given")
    arguments = parser.parse_args()
    files = {path.stem.removeprefix("found-"): path for path in sorted(arguments.work.glob("found-*.npz"))}
    ours = from_home(arguments.work)
    wrong = False
    for tool in arguments.tools or files:
        found = compare(ours, Found.read(files[tool]))
        print(f"{tool}\n  " + "\n  ".join(found.lines()))
        wrong |= bool(found.problems)
    raise SystemExit(1 if wrong else 0)


def from_home(work: Path) -> Ours:
    """Activations read anew, and the strongest examples of the extraction in the home."""
    setting = Setting.read(work)
    with saescope.open(work / "home") as studio:
        extraction = studio.extractions()[-1]
        examples = studio.features(extraction.name).examples_arrow()
    wanted = np.isin(examples["feature"].to_numpy(), setting.features)
    top = examples.filter(wanted & (examples["stratum"].to_numpy(zero_copy_only=False) == "top"))
    columns = (top[name].to_pylist() for name in ("feature", "sample", "peak", "activation"))
    return read_activations(
        setting,
        load_model(work / "model"),
        load_sae(work / "saelens"),
        np.load(work / "tokens.npy"),
        strongest_of(zip(*columns, strict=True)),
        extraction.top_k,
    )


def strongest_of(rows: Iterable[tuple[int, int, int, float]]) -> dict[int, list[tuple[int, int, float]]]:
    """Examples by feature, from rows of (feature, sample, peak, activation) in order of rank."""
    strongest: dict[int, list[tuple[int, int, float]]] = {}
    for feature, sample, peak, activation in rows:
        strongest.setdefault(feature, []).append((sample, peak, activation))
    return strongest


@torch.inference_mode()
def read_activations(
    setting: Setting,
    model: LanguageModel,
    sae: Sae,
    tokens: np.ndarray,
    strongest: dict[int, list[tuple[int, int, float]]],
    top_k: int,
) -> Ours:
    """Every activation of the setting's features, with how nearly it was otherwise."""
    features = torch.tensor(setting.features)
    parts: list[tuple[torch.Tensor, ...]] = []
    for start in range(0, len(tokens), BLOCK):
        ids = torch.from_numpy(tokens[start : start + BLOCK].astype(np.int64))
        x = model.read(ids, [setting.hookpoint])[setting.hookpoint].float()
        z = x.reshape(-1, setting.d_in) - sae.b_dec
        pre = z @ sae.W_enc + sae.b_enc
        active = sae.encode(x)[..., features]
        margin = _margins(pre, sae)[:, features].view(active.shape)
        parts.append((active, margin, z.norm(dim=1).view(ids.shape)))
    activations, margins, lengths = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
    valid = ~np.isin(tokens, setting.special)
    valid[:, 0] = False
    return Ours(setting, activations.transpose(2, 0, 1), margins.transpose(2, 0, 1), lengths, valid, strongest, top_k)


def _margins(pre: torch.Tensor, sae: Sae) -> torch.Tensor:
    """Distance of each pre-activation from zero and from what else decides whether its feature is active.

    For topk that is the strongest that was beaten, or the weakest that was chosen: whichever stands on the other side.
    """
    if sae.cfg.k is None:
        return torch.minimum((pre - sae.threshold).abs(), pre.abs())
    chosen, beaten = pre.topk(sae.cfg.k + 1, dim=1).values[:, -2:].split(1, dim=1)
    rival = torch.where(pre >= chosen, beaten, chosen)
    return torch.minimum((pre - rival).abs(), pre.abs())


if __name__ == "__main__":
    main()
