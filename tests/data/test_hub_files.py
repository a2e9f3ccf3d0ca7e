"""Datasets of a hub: which files a configuration and split mean, read from a loopback hub."""

import json
import socket

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from saescope.data.sources import open_source
from saescope.errors import BadSource, NotFound, Unreachable
from saescope.specs import AddDataset
from support.hub_server import hub_server


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    for name in ("HF_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Serve files (path: what they hold) as org/set and read a source from there."""

    def read_files(files, source="hf:org/set", branches=(), **fields):
        folder = write_files(tmp_path / "repo", files)
        repos = {"datasets/org/set": folder}
        for name, more in branches:
            repos[f"datasets/org/set@{name}"] = write_files(tmp_path / "branch", more)
        with hub_server(repos) as url:
            monkeypatch.setenv("HF_ENDPOINT", url)
            return list(open_source(AddDataset(name="d", source=source, **fields)).documents())

    return read_files


def write_files(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".parquet"):
            pq.write_table(pa.table({"text": [content]}), path)
        elif name.endswith(".jsonl"):
            path.write_text(json.dumps({"text": content}) + "\n")
        elif name.endswith(".csv"):
            path.write_text(f"text\n{content}\n")
        else:
            path.write_text(content)
    return folder


def test_one_file_without_a_split_in_its_name_is_the_train_split(read):
    assert read({"corpus.jsonl": "one"}) == ["one"]


def test_the_split_is_told_by_names_of_files_and_folders(read):
    files = {
        "data/train-00000-of-00002.parquet": "a",
        "data/train-00001-of-00002.parquet": "b",
        "data/validation-00000-of-00001.parquet": "c",
    }
    assert read(files) == ["a", "b"]
    assert read(files, split="validation") == ["c"]
    assert read({"test/one.txt": "t", "train/one.txt": "u"}, split="test")[-1:] == ["t"]


def test_a_split_goes_by_its_other_names(read):
    assert read({"train.csv": "a", "dev.csv": "b"}, split="validation") == ["b"]


def test_folders_are_configurations(read):
    files = {"small/train.jsonl": "s", "large/train.jsonl": "l"}
    assert read(files, "hf:org/set:small") == ["s"]
    with pytest.raises(BadSource, match="several configurations: large, small"):
        read(files)
    with pytest.raises(BadSource, match="no configuration 'huge'; there are: large, small"):
        read(files, "hf:org/set:huge")


CARD = """---
license: mit
configs:
- config_name: first
  default: true
  data_files:
  - split: train
    path: "one/*.jsonl"
  - split: test
    path: ["two/**/*.jsonl"]
- config_name: second
  data_files: "two/**"
- config_name: third
  data_dir: one
---
# A card
"""


def test_the_card_says_what_configurations_hold(read):
    files = {"README.md": CARD, "one/a.jsonl": "a", "two/b/c.jsonl": "c"}
    assert read(files) == ["a"]
    assert read(files, split="test") == ["c"]
    assert read(files, "hf:org/set:second") == ["c"]
    assert read(files, "hf:org/set:third") == ["a"]
    with pytest.raises(BadSource, match="no configuration 'fourth'; there are: first, second, third"):
        read(files, "hf:org/set:fourth")


def test_a_card_that_is_no_yaml_is_passed_over(read):
    assert read({"README.md": "---\n{[\n---\n", "a.jsonl": "a"}) == ["a"]
    assert read({"README.md": "---\nconfigs: 3\n---\n", "a.jsonl": "a"}) == ["a"]


def test_a_split_that_is_not_there_lists_those_that_are(read):
    with pytest.raises(BadSource, match="no split 'extra'; its splits are: test, train"):
        read({"train.csv": "a", "test.csv": "b"}, split="extra")


def test_without_files_of_a_known_kind_the_converted_branch_is_read(read):
    files = {"README.md": "# x", "script.py": "print()"}
    branch = ("refs/convert/parquet", {"default/train/0000.parquet": "converted"})
    assert read(files, branches=[branch]) == ["converted"]


def test_a_dataset_of_other_files_is_refused(read):
    with pytest.raises(BadSource, match=r"holds no \.txt \.jsonl \.csv \.parquet file"):
        read({"README.md": "# x", "images.zip": "x"})


@pytest.mark.parametrize("kind", [".txt", ".jsonl", ".csv", ".parquet"])
def test_with_a_limit_files_are_read_in_place(read, kind, tmp_path):
    assert read({f"train{kind}": "one", f"train2{kind}": "two"}, limit=5)[0].strip() == "one"
    cached = tmp_path / "hf/hub"
    assert not list(cached.rglob(f"train*{kind}"))


def test_without_a_limit_only_the_files_of_the_split_are_fetched(read, tmp_path):
    read({"train.jsonl": "a", "test.jsonl": "b"})
    assert [path.name for path in (tmp_path / "hf/hub").rglob("*.jsonl")] == ["train.jsonl"]


def test_a_dataset_that_is_not_on_the_hub_is_named(read):
    with pytest.raises(NotFound, match="there is no dataset 'org/other' on the hub"):
        read({"train.jsonl": "a"}, "hf:org/other")


def test_a_name_that_is_no_id_is_refused(read):
    with pytest.raises(BadSource, match="not the id of a dataset"):
        read({"train.jsonl": "a"}, "hf:../..")


def test_a_hub_out_of_reach_says_what_works_offline(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
    with pytest.raises(Unreachable) as caught:
        open_source(AddDataset(name="d", source="hf:org/set"))
    assert ".jsonl" in caught.value.hint


def test_a_dataset_fetched_before_is_read_without_the_hub(read, monkeypatch):
    read({"train.jsonl": "a"})
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert [*open_source(AddDataset(name="d", source="hf:org/set")).documents()] == ["a"]
