"""`model add`: a language model into the home."""

from pathlib import Path
from typing import Any

from ..home import new_id
from ..models.load import convert_gguf, find_folder, load_model
from ..records import Model
from ..specs import AddModel
from ..store import catalogue
from ..store.show import show_model
from .clock import now
from .context import Context


def run(spec: AddModel, context: Context) -> dict[str, Any]:
    """Check that a model loads and note what it is; a GGUF file is converted once, others stay where they are."""
    catalogue.name_free(context.db, "model", spec.name)
    id = new_id()
    is_gguf = spec.source.lower().endswith(".gguf")
    with context.publishing("models", id):
        with context.home.making("models", id) as folder:
            source = spec.source
            if is_gguf:
                convert_gguf(Path(source), folder / "checkpoint", progress=context.tell)
                source = str(folder / "checkpoint")
            elif Path(source).expanduser().exists():
                source = str(Path(source).expanduser().resolve())
            else:
                source = _pinned(source, find_folder(source, context.tell))
            model = load_model(source, dtype=spec.dtype, quantize=spec.quantize, progress=context.tell)
            context.write_vocabulary(model, folder)
        record = Model(
            id=id,
            name=spec.name,
            source=source if not is_gguf else str(Path(spec.source).resolve()),
            path=f"artifacts/models/{id}/checkpoint" if is_gguf else None,
            dtype=str(model.dtype).removeprefix("torch."),  # settled now: another machine's auto may differ
            quantize=spec.quantize,
            family=model.family,
            layers=model.layers,
            d_model=model.d_model,
            context=model.max_context,
            vocabulary=model.vocabulary,
            fingerprint=model.fingerprint,
            tokenizer_fingerprint=model.tokenizer_fingerprint,
            hookpoints=dict(model.hookpoints),
            created=now(),
        )
        catalogue.add_model(context.db, record)
    context.keep_model(record, model)
    return show_model(record)


def _pinned(source: str, folder: Path) -> str:
    """A hub id with the commit that was fetched: the same files again, whatever is pushed later."""
    if "@" in source or folder.parent.name != "snapshots":
        return source
    return f"{source}@{folder.name}"
