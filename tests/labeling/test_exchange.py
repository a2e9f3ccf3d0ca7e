"""Labels in files: what is written is read again, no formula runs, a bad line is named."""

import csv
import gzip
import json

import pytest

from saescope.errors import BadSource, BadValue, NameTaken
from saescope.labeling.exchange import read_labels, write_labels
from saescope.records import Label, Score

LABELS = [
    Label(0, "the word “treaty”", "lexical", None, "2026", scores={"detection": Score(0.9, 50, 0.8, 0.95, 0.5)}),
    Label(3, '=HYPERLINK("http://x")', "llm", "+m", "2026", prompt="explain@1"),
    Label(3, '\'@quoted, with "quotes"\nand a line', "person", None, "2026"),
]


@pytest.mark.parametrize("name", ["l.jsonl", "l.csv", "l.jsonl.gz"])
def test_what_is_written_is_read_again(tmp_path, name):
    write_labels(LABELS, tmp_path / name)
    read = read_labels(tmp_path / name, 10, "now")
    assert [(each.feature, each.text, each.model) for each in read] == [(e.feature, e.text, e.model) for e in LABELS]
    assert {each.source for each in read} == {"imported"}
    if "json" in name:
        assert read[0].scores == LABELS[0].scores


def test_no_cell_begins_like_a_formula(tmp_path):
    write_labels(LABELS, tmp_path / "l.csv")
    with open(tmp_path / "l.csv", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_neuronpedias_explanations_are_written_and_read(tmp_path):
    file = tmp_path / "batch-0.jsonl.gz"
    write_labels(LABELS, file, "neuronpedia", model="gpt2", layer="5-res")
    row = json.loads(gzip.decompress(file.read_bytes()).splitlines()[0])
    assert (row["modelId"], row["layer"], row["index"], row["description"]) == ("gpt2", "5-res", "0", LABELS[0].text)
    assert [each.text for each in read_labels(file, 10, "now")] == [each.text for each in LABELS]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"feature": 1, "text": "a"}\n{"feature": 10, "text": "b"}', "line 2: there is no feature 10"),
        ('{"feature": -1, "text": "a"}', "line 1: -1 is no feature"),
        ('{"feature": true, "text": "a"}', "is no feature"),
        ('{"feature": 1}', "no label"),
        ("[]", "no object"),
        ("{", "no JSON"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_a_bad_line_is_named(tmp_path, content, message):
    file = tmp_path / "l.jsonl"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BadSource, match=message):
        read_labels(file, 10, "now")


def test_a_file_that_is_there_is_kept(tmp_path):
    (tmp_path / "l.csv").write_text("mine")
    with pytest.raises(NameTaken):
        write_labels(LABELS, tmp_path / "l.csv")
    with pytest.raises(BadValue):
        write_labels(LABELS, tmp_path / "l.xlsx")
    assert [path.name for path in tmp_path.iterdir()] == ["l.csv"]
