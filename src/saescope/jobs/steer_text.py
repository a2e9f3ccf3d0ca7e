"""`steer`: a prompt continued with and without edits to features."""

from typing import Any

import pyarrow.compute as pc

from ..errors import BadValue, Mismatch
from ..specs import SteerText
from ..steering.generate import steer
from ..store import catalogue
from ..store.labels import current_labels
from .context import Context, check_feature


def run(spec: SteerText, context: Context) -> dict[str, Any]:
    """Steer; the unit `max` is the feature's largest activation in the extraction named, or in the SAE's newest."""
    record, sae = context.sae(spec.sae)
    for edit in spec.edits:
        check_feature(edit.feature, sae.d_sae)
    model_record, model = context.model(record.model)
    hookpoint = context.check_fits(record, sae, model)
    if len(model.widths(hookpoint)) > 1:
        raise BadValue(
            f"{record.name!r} is a crosscoder: its features live in several places at once, {hookpoint}",
            "steer with an SAE of one hookpoint",
        )
    if spec.extraction is None:
        extraction = catalogue.newest_extraction(context.db, record.name)
    else:
        extraction = catalogue.extraction(context.db, spec.extraction)
        if extraction.sae != record.name:
            raise Mismatch(
                f"extraction {extraction.name!r} is of SAE {extraction.sae!r}, not of {record.name!r}",
                "name an extraction of this SAE, or none",
            )
    maxima: dict[int, float] = {}
    labels: dict[int, Any] = {}
    if extraction is not None:
        features = [edit.feature for edit in spec.edits]
        _, store = context.extraction(extraction.name)
        column = store.to_arrow(["max"]).column("max")
        maxima = dict(zip(features, pc.take(column, features).to_pylist(), strict=True))
        labels = current_labels(context.db, extraction.id, features)
    strings = context.vocabulary(model_record)

    def on_token(which: str, token: int, logprob: float) -> None:
        context.on_token({"run": which, "id": token, "token": strings[token], "logprob": logprob})

    steered = steer(model, sae, hookpoint, spec, maxima, progress=context.tell, on_token=on_token)
    document = steered.to_json()
    document["sae"] = record.name
    document["edits"] = [
        edit.model_dump() | {"text": str(edit), "label": labels[edit.feature].text if edit.feature in labels else None}
        for edit in spec.edits
    ]
    return document
