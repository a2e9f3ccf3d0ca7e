"""`dataset sample`: a few documents, or a few rows as an extraction sees them."""

from itertools import islice
from typing import Any

from ..data.documents import read_documents
from ..records import Dataset
from ..specs import Packing
from .context import Context

_CHARACTERS = 2000


def run(
    dataset: Dataset, context: Context, model: str | None, tokens: int | None, limit: int, packing: Packing
) -> dict[str, Any]:
    """The first `limit` documents, or with a model the first `limit` rows of its tokenization."""
    if model is None:
        documents = islice(read_documents(context.home.artifact("datasets", dataset.id)), limit)
        samples = [{"sample": index, "token_ids": None, "text": text[:_CHARACTERS]} for index, text in documents]
        return {"name": dataset.name, "samples": samples}
    record, language_model = context.model(model)
    rows = context.tokens(dataset, language_model, tokens or 128, packing)
    strings = context.vocabulary(record)
    samples = []
    for sample in range(min(limit, rows.samples)):
        ids = rows.tokens[sample, : rows.lengths[sample]].tolist()
        spans = [
            {"position": position, "document": document, "start": start, "end": end}
            for position, document, start, end in rows.spans(sample)
        ]
        text = language_model.tokenizer.decode(ids, skip_special_tokens=False)
        samples.append(
            {
                "sample": sample,
                "token_ids": ids,
                "tokens": [strings[id] for id in ids],
                "text": text,
                "documents": spans,
                "valid": rows.valid(slice(sample, sample + 1))[0, : len(ids)].tolist(),
            }
        )
    return {"name": dataset.name, "model": record.name, "context": rows.context, "samples": samples}
