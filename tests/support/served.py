"""A home with one small extraction, for the tests of what serves it."""

import json
from pathlib import Path

import numpy as np

from saescope.data.documents import import_documents
from saescope.data.sources import open_source
from saescope.home import Home
from saescope.records import Label
from saescope.specs import AddDataset
from saescope.store import catalogue, open_database
from saescope.store.features import write_extraction
from saescope.store.labels import add_labels

from .catalogue import a_dataset, a_features_table, a_model, an_examples_table, an_extraction, an_sae

TOKEN = "a-token-of-the-tests-that-is-as-long-as-a-real-one"
FEATURES = 64


def filled(folder: Path) -> Home:
    """A home with one of each: dataset, model, SAE, and `topk-64-sotu` of 64 labelled features."""
    home = Home(folder)
    with open_database(home) as db:
        dataset, model, sae, extraction = a_dataset(), a_model(), an_sae(), an_extraction()
        catalogue.add_dataset(db, dataset)
        catalogue.add_model(db, model)
        catalogue.add_sae(db, sae)
        catalogue.add_extraction(db, extraction)
        labels = (Label(index, f"label {index}", "lexical", None, "2026-11-26", 0.5, {}) for index in range(FEATURES))
        add_labels(db, extraction.id, labels)
    place = home.artifact("extractions", extraction.id)
    place.mkdir(parents=True)
    features = a_features_table(FEATURES)
    for name, kind in (("neighbor_ids", "int32"), ("neighbor_cosines", "float32")):
        near = np.zeros((FEATURES, 1), kind).tolist()
        features = features.append_column(name, [near])
    for name in ("ids", "logits"):
        features = features.append_column(f"writes_least_{name}", features.column(f"writes_most_{name}"))
    write_extraction(place, features, an_examples_table(np.arange(FEATURES)))
    text = folder / "text.txt"
    text.write_text("Fellow citizens of the Senate.\n")
    with home.making("datasets", dataset.id) as draft:
        import_documents(open_source(AddDataset(name=dataset.name, source=str(text))), draft)
    files = home.artifact("saes", sae.id)
    files.mkdir(parents=True)
    (files / "cfg.json").write_text(json.dumps({"architecture": "topk", "d_in": 16, "d_sae": FEATURES, "k": 4}))
    vocabulary = home.artifact("models", model.id)
    vocabulary.mkdir(parents=True)
    (vocabulary / "vocabulary.json").write_text(json.dumps([f" t{id}" for id in range(128)]))
    return home
