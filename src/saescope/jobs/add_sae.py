"""`sae add`: a trained SAE into the home."""

from pathlib import Path
from typing import Any

from ..errors import BadSource
from ..fingerprint import content_hash, file_hash
from ..home import new_id
from ..records import Model, SaeInfo
from ..sae.base import Sae
from ..sae.files import load_sae, save_sae
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
        path = Path(source).expanduser()
        if not path.exists():
            raise BadSource(
                f"there is no file or folder {source!r}", "give a folder with cfg.json and sae_weights.safetensors"
            )
        return path
    from ..hub import snapshot

    parts = source.removeprefix("hf:").strip("/").split("/")
    if len(parts) < 2 or any(part in ("", ".", "..") for part in parts):
        raise BadSource(f"{source!r} names no repository", "write hf:ORG/NAME or hf:ORG/NAME/path")
    inside = "/".join(parts[2:])
    patterns = [f"{inside}/*" if inside else "*"]
    folder = snapshot(
        "/".join(parts[:2]),
        patterns=[p + end for p in patterns for end in (".safetensors", ".json")],
        progress=context.tell,
    )
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
    """Write an SAE into the home and list it; its fingerprint is that of its written weights."""
    from dataclasses import replace

    try:
        with context.home.making("saes", record.id) as folder:
            save_sae(sae, folder)
            weights = file_hash(folder / "sae_weights.safetensors")
        record = replace(record, fingerprint=content_hash(weights, sae.kind, sae.k))
        catalogue.add_sae(context.db, record)
    except BaseException:
        context.home.discard("saes", record.id)
        raise
    return record
