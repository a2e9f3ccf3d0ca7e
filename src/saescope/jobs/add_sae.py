"""`sae add`: a trained SAE into the home."""

import os
from pathlib import Path
from typing import Any

from ..errors import BadSource
from ..fingerprint import content_hash, file_hash
from ..home import new_id
from ..records import Model, SaeInfo
from ..sae.base import Sae
from ..sae.files import CFG, WEIGHTS, load_sae, save_sae
from ..specs import AddSae
from ..store import catalogue
from .clock import now
from .context import Context
from .show import show_sae


def run(spec: AddSae, context: Context) -> dict[str, Any]:
    """Read an SAE, check that it fits its hookpoint, and keep a copy in the home."""
    catalogue.name_free(context.db, "sae", spec.name)
    model = catalogue.model(context.db, spec.model)
    _, language_model = context.model(spec.model)
    hookpoint = language_model.hookpoint(spec.hookpoint)
    sae = load_sae(_fetch(spec.source, context))
    record = _record(spec.name, sae, model, hookpoint, spec.source)
    context.check_fits(record, sae, language_model)
    record = keep_sae(record, sae, context)
    return show_sae(record)


def _fetch(source: str, context: Context) -> Path:
    """A local path as it is; hf:ORG/NAME/path downloaded (safetensors and JSON only)."""
    if not source.startswith("hf:"):
        path = Path(os.path.expanduser(source))
        if not path.exists():
            raise BadSource(
                f"there is no file or folder {source!r}", "give a folder with cfg.json and sae_weights.safetensors"
            )
        return path
    from ..hub import snapshot

    parts = source.removeprefix("hf:").strip("/").split("/")
    if len(parts) < 2 or any(part in ("", ".", "..") for part in parts):
        raise BadSource(f"{source!r} names no repository", "write hf:ORG/NAME or hf:ORG/NAME/path")
    # these two and no others: a repository may hold hundreds of SAEs
    wanted = ["/".join([*parts[2:], file]) for file in (CFG, WEIGHTS)]
    folder = snapshot("/".join(parts[:2]), patterns=wanted, progress=context.tell)
    return folder.joinpath(*parts[2:])


def _record(name: str, sae: Sae, model: Model, hookpoint: str, source: str) -> SaeInfo:
    return SaeInfo(
        id=new_id(),
        name=name,
        kind=sae.kind,
        d_in=sae.d_in,
        d_sae=sae.d_sae,
        model=model.name,
        hookpoint=hookpoint,
        source=source,
        fingerprint="",
        metrics={},
        created=now(),
    )


def keep_sae(record: SaeInfo, sae: Sae, context: Context) -> SaeInfo:
    """Write an SAE into the home and list it; its fingerprint is that of its written weights and their form."""
    from dataclasses import replace

    try:
        with context.home.making("saes", record.id) as folder:
            save_sae(sae, folder)
            weights = file_hash(folder / WEIGHTS)
        form = (sae.kind, sae.k, sae.cfg.apply_b_dec_to_input, sae.cfg.normalise)
        record = replace(record, fingerprint=content_hash(weights, *form))
        catalogue.add_sae(context.db, record)
    except BaseException:
        context.home.discard("saes", record.id)
        raise
    return record
