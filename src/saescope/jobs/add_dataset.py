"""`dataset add`: documents into the home."""

from typing import Any

from ..data.documents import import_documents
from ..data.sources import open_source
from ..home import new_id
from ..records import Dataset
from ..specs import AddDataset
from ..store import catalogue
from ..store.show import show_dataset
from .clock import now
from .context import Context


def run(spec: AddDataset, context: Context) -> dict[str, Any]:
    """Import a dataset; its row appears when all of it is on the disk."""
    catalogue.name_free(context.db, "dataset", spec.name)
    source = open_source(spec)
    for note in source.notes:
        context.notify(note)
    id = new_id()
    with context.publishing("datasets", id):
        with context.home.making("datasets", id) as folder:
            summary = import_documents(source, folder, progress=context.tell)
        record = Dataset(
            id=id,
            name=spec.name,
            source=spec.source,
            text_field=source.text_field,
            fingerprint=summary.fingerprint,
            documents=summary.documents,
            blank_documents=summary.blank,
            characters=summary.characters,
            created=now(),
        )
        catalogue.add_dataset(context.db, record)
    if summary.blank:
        context.notify(f"{summary.blank} blank documents were left out")
    return show_dataset(record, context.home, lambda model, tokens: None, None, None)
