"""`sae add`: a trained SAE into the home."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import BadValue
from ..fingerprint import content_hash, file_hash
from ..home import new_id
from ..models.language_model import LanguageModel
from ..records import Model, SaeInfo
from ..sae.abs_topk import AbsTopK, split_signs
from ..sae.base import Sae
from ..sae.files import WEIGHTS, read_sae, save_sae
from ..specs import AddSae
from ..store import catalogue
from ..store.show import show_sae
from .clock import now
from .context import Context
from .sae_source import sae_source


def run(spec: AddSae, context: Context) -> dict[str, Any]:
    """Read an SAE, check that it fits its hookpoint, and keep a copy in the home."""
    catalogue.name_free(context.db, "sae", spec.name)
    model = catalogue.model(context.db, spec.model)
    _, language_model = context.model(spec.model)
    for hookpoint in (spec.hookpoint, spec.hookpoint_out):
        if hookpoint is not None:
            language_model.hookpoint(hookpoint)  # a wrong word is told before anything is fetched
    source = sae_source(spec.source, context)
    sae = read_sae(source.path, format=spec.format, mapping=spec.mapping, scale=spec.scale)
    for note in sae.cfg.notes:
        context.notify(note)
    if spec.split_signs:
        sae = _split(sae)
    placed(sae, language_model, spec.hookpoint, spec.hookpoint_out, context)
    record = _record(spec.name, sae, model, sae.cfg.hookpoint, source.pinned)
    context.check_fits(record, sae, language_model)
    record = keep_sae(record, sae, context)
    return show_sae(record, context.home)


def placed(sae: Sae, model: LanguageModel, hookpoint: str | None, hookpoint_out: str | None, context: Context) -> None:
    """Give an SAE the canonical names of where it reads and writes: those asked for, else those its files say."""
    said = sae.cfg.hookpoint
    if not (hookpoint or said):
        raise BadValue("its files do not say where this SAE reads", "say so with --hookpoint layers.N.resid_post")
    entering = model.hookpoint(hookpoint or said)
    if hookpoint and said and said in model.hookpoints and said != entering:
        context.notify(f"its files say that it reads {said}; it is taken to read {entering}, as asked")
    leaving = ""
    if sae.cfg.transcoder:
        beside = entering.removesuffix(".mlp_in") + ".mlp_out" if entering.endswith(".mlp_in") else ""
        named = hookpoint_out or sae.cfg.hookpoint_out or beside
        if not named:
            raise BadValue("its files do not say where this transcoder writes", "say so with --hookpoint-out")
        leaving = model.hookpoint(named)
    elif hookpoint_out:
        raise BadValue("this is no transcoder: it writes where it reads", "leave --hookpoint-out away")
    sae.cfg = replace(sae.cfg, hookpoint=entering, hookpoint_out=leaving)


def _split(sae: Sae) -> Sae:
    if not isinstance(sae, AbsTopK):
        raise BadValue(f"no feature of a {sae.kind} SAE is negative", "leave --split-signs away")
    return split_signs(sae)


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


def keep_sae(
    record: SaeInfo, sae: Sae, context: Context, also: Callable[[Path], None] = lambda folder: None
) -> SaeInfo:
    """Write an SAE into the home and list it; its fingerprint is that of its written weights and their form.

    also: writes what else belongs into its folder.
    """
    with context.publishing("saes", record.id):
        with context.home.making("saes", record.id) as folder:
            save_sae(sae, folder)
            also(folder)
            weights = file_hash(folder / WEIGHTS)
        form = (sae.kind, sae.k, sae.cfg.apply_b_dec_to_input, sae.cfg.normalise)
        record = replace(record, fingerprint=content_hash(weights, *form))
        catalogue.add_sae(context.db, record)
    return record
