"""A home with one small extraction, for the tests of what serves it."""

import json
from pathlib import Path

import numpy as np

from saescope.home import Home
from saescope.records import Label
from saescope.store import catalogue, open_database
from saescope.store.features import write_extraction
from saescope.store.labels import add_labels

from .catalogue import a_dataset, a_features_table, a_model, an_examples_table, an_extraction, an_sae

TOKEN = "a-token-of-the-tests-that-is-as-long-as-a-real-one"
FEATURES = 64


def filled(folder: Path) -> Home:
    """A home with a dataset, a model, an SAE and an extraction `topk-64-sotu` of 64 features with labels."""
    home = Home(folder)
    with open_database(home) as db:
        model, extraction = a_model(), an_extraction()
        catalogue.add_dataset(db, a_dataset())
        catalogue.add_model(db, model)
        catalogue.add_sae(db, an_sae())
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
    vocabulary = home.artifact("models", model.id)
    vocabulary.mkdir(parents=True)
    (vocabulary / "vocabulary.json").write_text(json.dumps([f" t{id}" for id in range(128)]))
    return home
