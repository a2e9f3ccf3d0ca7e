"""`features fire`: which features are active on a text."""

from typing import Any

import torch

from ..errors import BadValue
from ..extraction.fire import Fired, fire
from ..models.language_model import LanguageModel
from ..specs import FireLongText, FireText
from ..steering.generate import prompt_ids
from ..store.labels import current_labels
from .context import Context


def run(spec: FireText | FireLongText, context: Context) -> dict[str, Any]:
    """Pass one text through the model and the SAE of an extraction."""
    extraction, _ = context.extraction(spec.extraction)
    record, sae = context.sae(extraction.sae)
    model_record, model = context.model(extraction.model)
    hookpoint = context.check_fits(record, sae, model)
    ids = encode_text(spec.text, model)
    whole = len(ids)
    if isinstance(spec, FireLongText):
        ids = ids[: min(spec.longest, model.max_context)]
    model.check_context(len(ids))
    strings = context.vocabulary(model_record)
    counts = valid_positions(ids, model, bool(extraction.spec.get("include_special")))
    x = model.read(torch.tensor([ids]), [hookpoint])[hookpoint][0]
    fired = fire(sae, x, counts, spec.limit)
    labels = current_labels(context.db, extraction.id, fired.features)
    return {
        "extraction": extraction.name,
        "tokens": [strings[id] for id in ids],
        "token_ids": ids,
        "special": (~counts).tolist(),
        "truncated_to": len(ids) if len(ids) < whole else None,
        "features": [
            {
                "index": feature,
                "label": labels[feature].text if feature in labels else None,
                "max": max(values),
                **where,
            }
            for feature, values, where in zip(fired.features, fired.values, _where(fired, len(ids), spec), strict=True)
        ],
    }


def _where(fired: Fired, tokens: int, spec: FireText | FireLongText) -> list[dict[str, Any]]:
    """Where each feature is active: one activation per token, or positions and values."""
    if not isinstance(spec, FireLongText):
        return [{"activations": each} for each in fired.activations(tokens)]
    places = zip(fired.positions, fired.values, strict=True)
    return [{"positions": positions, "values": values} for positions, values in places]


def encode_text(text: str, model: LanguageModel) -> list[int]:
    """Token ids of a text, with BOS in front (EOS where the tokenizer has no BOS)."""
    ids = prompt_ids(model, text)
    if len(ids) < 2:
        raise BadValue("the text holds no token", "write some text")
    return ids


def valid_positions(ids: list[int], model: LanguageModel, include_special: bool) -> torch.Tensor:
    """Which positions count: not the first, nor any BOS, EOS or padding token, unless those are included."""
    tokenizer = model.tokenizer
    special = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}
    counts = [include_special or (position > 0 and id not in special) for position, id in enumerate(ids)]
    return torch.tensor(counts, device=model.device)
