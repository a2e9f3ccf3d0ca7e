"""Do other libraries load what we export, and give the same features and reconstruction?

    python benchmarks/peers/formats.py

Every golden SAE, and SAEs of every kind that another library has, are exported in every format that can hold them; then
the libraries themselves, in an environment of their own beside this file (made once, some minutes), load them and run
on the same rows. One line for each file; exit 1 where a number is off by more than 1e-5.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from saescope.errors import BadValue
from saescope.sae import KINDS, Sae, SaeConfig, export_sae, read_sae
from saescope.sae.files import EXPORTS
from saescope.sae.kinds import COUNTED

HERE = Path(__file__).resolve().parent
GOLDEN = HERE.parents[1] / "tests" / "golden"
REQUIREMENTS = HERE / "requirements-formats.txt"
TORCH = "torch==2.13.0"
"""First and by exact version: the libraries' own ranges pull a CUDA build of several GB."""


def main() -> int:
    python = environment()
    work = Path(tempfile.mkdtemp(prefix="formats-"))
    try:
        refused = write_all(work)
        for name in sorted(refused):
            print(f"refused  {name}: {refused[name]}")
        return subprocess.run([python, HERE / "formats_loader.py", work], check=False).returncode
    finally:
        shutil.rmtree(work)


def write_all(work: Path) -> dict[str, str]:
    """Export every SAE in every format, with what ours computes beside it; what is refused, and why."""
    refused = {}
    for name, sae, x in saes():
        for format in EXPORTS:
            folder = work / f"{name}--{format}"
            try:
                export_sae(sae, folder / "layers.5", format)
            except BadValue as why:
                refused[f"{name} as {format}"] = why.message
                shutil.rmtree(folder, ignore_errors=True)
                continue
            save_file({"x": x, "features": sae.encode(x), "reconstruction": sae(x)}, folder / "ours.safetensors")
    return refused


def saes() -> Iterator[tuple[str, Sae, torch.Tensor]]:
    """The golden SAEs, and random ones of every kind, as SAE and as transcoder."""
    for case in json.loads((GOLDEN / "cases.json").read_text()):
        folder = GOLDEN / case["case"]
        yield case["case"], read_sae(folder / case["path"]), load_file(folder / "io.safetensors")["x"]
    x = torch.randn(64, 24, generator=torch.Generator().manual_seed(1)) * 3
    for kind in KINDS:
        for centred in (True, False):
            yield f"{kind}-{'' if centred else 'un'}centred", random_sae(kind, apply_b_dec_to_input=centred), x
        for skip in (False, True):
            cfg = {"apply_b_dec_to_input": False, "d_out": 24, "skip": skip}
            yield f"{kind}-{'skip-' if skip else ''}transcoder", random_sae(kind, **cfg), x


def random_sae(kind: str, **changes: object) -> Sae:
    cfg = SaeConfig(kind, 24, 96, k=8 if kind in COUNTED else None, model="gpt2", hookpoint="layers.5.resid_post")
    cfg = replace(cfg, **changes)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(0)
    weights = {name: torch.randn(shape, generator=generator) * 0.3 for name, shape in KINDS[kind].shapes(cfg).items()}
    if "threshold" in weights:
        level = weights["threshold"].abs() + 0.3
        weights["threshold"] = level if kind == "jumprelu" else torch.full_like(level, 0.5)
    return KINDS[kind](cfg, weights)


def environment() -> Path:
    """The libraries' interpreter; the environment is made where it is not there or not as it should be."""
    folder = HERE / ".environments" / "formats"
    python, stamp = folder / "bin" / "python", folder / "requirements.sha256"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        print("installing the libraries (once, some minutes)", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        subprocess.run([*pip, TORCH], check=True)
        subprocess.run([*pip, TORCH, "--requirement", REQUIREMENTS], check=True)  # named again: pip would go beyond it
        # some library asks for a torchvision of another torch, with which transformers cannot be imported
        subprocess.run([python, "-m", "pip", "uninstall", "--yes", "--quiet", "torchvision"], check=True)
        stamp.write_text(wanted)
    return python


if __name__ == "__main__":
    sys.exit(main())
