import dataclasses
from typing import get_args

import pytest

from saescope.errors import NameTaken, NotFound, WrongRequest
from saescope.records import Extraction, Label
from saescope.store import Database, catalogue
from saescope.store.labels import add_labels, label_history
from support.catalogue import a_dataset, a_model, an_extraction, an_sae


def test_records_come_back_as_they_went_in(db: Database) -> None:
    dataset, model, sae, extraction = a_dataset(), a_model(), an_sae(), an_extraction()
    catalogue.add_dataset(db, dataset)
    catalogue.add_model(db, model)
    catalogue.add_sae(db, sae)
    catalogue.add_extraction(db, extraction)
    assert catalogue.dataset(db, "sotu") == dataset
    assert catalogue.model(db, "smol") == model
    assert catalogue.sae(db, "topk-64") == sae
    assert catalogue.extraction(db, "topk-64-sotu") == extraction


def test_lists_are_oldest_first(db: Database) -> None:
    for day, name in (("2026-01-03", "c"), ("2026-01-01", "b"), ("2026-01-02", "a")):
        catalogue.add_dataset(db, dataclasses.replace(a_dataset(name), created=day))
    assert [dataset.name for dataset in catalogue.datasets(db)] == ["b", "a", "c"]


def test_a_name_is_taken_once(db: Database) -> None:
    catalogue.add_dataset(db, a_dataset())
    with pytest.raises(NameTaken, match="there is already a dataset named 'sotu'"):
        catalogue.add_dataset(db, a_dataset())
    with pytest.raises(NameTaken):
        catalogue.name_free(db, "dataset", "sotu")
    catalogue.name_free(db, "model", "sotu")


def test_a_race_for_a_name_has_one_winner(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "_check_free", lambda *_: None)
    catalogue.add_dataset(db, a_dataset())
    with pytest.raises(NameTaken):
        catalogue.add_dataset(db, a_dataset())


def test_not_found_says_how_to_add_the_first(db: Database) -> None:
    with pytest.raises(NotFound, match="no dataset 'sotu'; there are none yet; add one with `saescope dataset add`"):
        catalogue.dataset(db, "sotu")


def test_not_found_lists_what_there_is_and_what_was_meant(db: Database) -> None:
    for name in ("sotu", "pile"):
        catalogue.add_dataset(db, a_dataset(name))
    with pytest.raises(NotFound) as caught:
        catalogue.dataset(db, "sotx")
    assert str(caught.value) == "no dataset 'sotx'; did you mean 'sotu'? there are: 'pile', 'sotu'"


def test_a_long_list_is_cut(db: Database) -> None:
    for number in range(23):
        catalogue.add_dataset(db, a_dataset(f"d{number:02d}"))
    with pytest.raises(NotFound, match="'d19' and 3 more"):
        catalogue.dataset(db, "zzzz")


def test_an_sae_needs_its_model(db: Database) -> None:
    with pytest.raises(NotFound, match="no model 'smol'"):
        catalogue.add_sae(db, an_sae())
    assert catalogue.saes(db) == []


def test_what_others_use_is_not_removed(db: Database, extraction: Extraction) -> None:
    uses: list[tuple[catalogue.KindName, str, str]] = [
        ("model", "smol", "is used by SAE 'topk-64'"),
        ("sae", "topk-64", "is used by extraction 'topk-64-sotu'"),
        ("dataset", "sotu", "is used by extraction 'topk-64-sotu'"),
    ]
    for kind, name, users in uses:
        with pytest.raises(WrongRequest, match=users):
            catalogue.remove(db, kind, name)
    catalogue.remove(db, "extraction", extraction.name)
    catalogue.remove(db, "sae", "topk-64")
    assert catalogue.remove(db, "model", "smol").name == "smol"
    assert catalogue.remove(db, "dataset", "sotu").name == "sotu"
    assert catalogue.models(db) == catalogue.datasets(db) == catalogue.saes(db) == []


def test_removing_what_is_not_there_says_so(db: Database) -> None:
    for kind in get_args(catalogue.KindName):
        with pytest.raises(NotFound, match="'nothing'"):
            catalogue.remove(db, kind, "nothing")


def test_an_extraction_takes_its_labels_with_it(db: Database, extraction: Extraction) -> None:
    add_labels(db, extraction.id, [Label(3, "text", "person", None, "2026")])
    catalogue.remove(db, "extraction", extraction.name)
    assert label_history(db, extraction.id, 3) == []


def test_the_newest_extraction_of_an_sae(db: Database, extraction: Extraction) -> None:
    catalogue.add_sae(db, an_sae("other"))
    catalogue.add_extraction(db, an_extraction("older", created="2025-01-01"))
    catalogue.add_extraction(db, newest := an_extraction("newer", created="2027-01-01"))
    assert catalogue.newest_extraction(db, "topk-64") == newest
    assert catalogue.newest_extraction(db, "other") is None
    with pytest.raises(NotFound, match="no SAE 'nothing'"):
        catalogue.newest_extraction(db, "nothing")


@pytest.mark.parametrize("name", ["'; DROP TABLE datasets; --", "%", "ünïcode ☃", 'quo"te', "x" * 5000])
def test_any_name_is_a_value(db: Database, name: str) -> None:
    catalogue.add_dataset(db, a_dataset("kept"))
    catalogue.add_dataset(db, a_dataset(name))
    assert catalogue.dataset(db, name).name == name
    catalogue.remove(db, "dataset", name)
    assert [dataset.name for dataset in catalogue.datasets(db)] == ["kept"]
