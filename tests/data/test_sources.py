"""Sources of every kind, and the one clear line for each that cannot be read."""

import csv
import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from saescope.data.sources import open_source
from saescope.errors import BadSource
from saescope.specs import AddDataset

ODD = [
    "plain",
    "\U0001f469\u200d\U0001f467 zwj",
    "nul \x00 inside",
    "CRLF\r\nkept\r\n",
    "  ",
    "",
    "x" * 1_000_000,
]


def source_of(path, **fields):
    return open_source(AddDataset(name="d", source=str(path), **fields))


def texts_of(path, **fields):
    return list(source_of(path, **fields).documents())


def jsonl(path, rows):
    path.write_bytes("\n".join(json.dumps(row) for row in rows).encode())
    return path


def csv_file(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


def parquet(path, columns):
    pq.write_table(pa.table(columns), path)
    return path


def test_a_text_file_is_one_document_byte_for_byte(tmp_path):
    for number, text in enumerate(ODD[:4]):
        path = tmp_path / f"{number}.txt"
        path.write_bytes(text.encode())
        assert texts_of(path) == [text]
    assert texts_of(tmp_path) == ODD[:4]
    assert texts_of(tmp_path / "*.txt") == ODD[:4]


def test_odd_texts_survive_every_kind_with_fields(tmp_path):
    assert texts_of(jsonl(tmp_path / "a.jsonl", [{"text": text} for text in ODD])) == ODD
    assert texts_of(csv_file(tmp_path / "a.csv", [["id", "text"], *([i, t] for i, t in enumerate(ODD))])) == ODD
    assert texts_of(parquet(tmp_path / "a.parquet", {"text": ODD})) == ODD


def test_a_byte_order_mark_is_not_text(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone")
    (tmp_path / "a.jsonl").write_bytes(b'\xef\xbb\xbf{"text": "one"}\r\n\r\n')
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbftext\r\none\r\n")
    assert [texts_of(tmp_path / f"a{kind}") for kind in (".txt", ".jsonl", ".csv")] == [["one"]] * 3


def test_a_glob_goes_into_folders(tmp_path):
    for name in ("a.txt", "b/c.txt", "b/d/e.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    assert texts_of(tmp_path / "**" / "*.txt") == ["a.txt", "b/c.txt", "b/d/e.txt"]
    assert texts_of(tmp_path / "b") == ["b/c.txt", "b/d/e.txt"]


def test_a_name_with_glob_signs_is_a_name_first(tmp_path):
    (tmp_path / "a[1].txt").write_text("one")
    assert texts_of(tmp_path / "a[1].txt") == ["one"]


def test_a_folder_takes_the_files_it_knows_and_no_hidden_ones(tmp_path):
    (tmp_path / "README.md").write_text("no")
    (tmp_path / ".hidden.jsonl").write_text("no")
    (tmp_path / "a.txt").write_text("yes")
    assert texts_of(tmp_path) == ["yes"]


@pytest.mark.parametrize(
    ("fields", "chosen"),
    [
        (("title", "text"), "text"),
        (("article", "body"), "body"),
        (("Content", "note"), "Content"),
        (("id", "longest"), "longest"),
    ],
)
def test_the_text_field_is_guessed_aloud(tmp_path, fields, chosen):
    rows = [{fields[0]: "a", fields[1]: "a longer text", "number": 3}]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    cells = [list(rows[0]), *[list(row.values()) for row in rows]]
    for source in (
        source_of(jsonl(tmp_path / "a.jsonl", rows)),
        source_of(parquet(tmp_path / "a.parquet", columns)),
        source_of(csv_file(tmp_path / "a.csv", cells)),
    ):
        assert source.text_field == chosen
        assert f"text field guessed: {chosen!r}" in source.notes[0]


def test_a_chosen_field_is_taken_without_a_word(tmp_path):
    path = jsonl(tmp_path / "a.jsonl", [{"text": "no", "summary": "yes"}])
    source = source_of(path, text_field="summary")
    assert (list(source.documents()), source.notes) == (["yes"], [])


def test_a_missing_or_null_text_is_a_blank_document(tmp_path):
    rows = [{"text": "one"}, {"text": None}, {"id": 1}]
    assert texts_of(jsonl(tmp_path / "a.jsonl", rows)) == ["one", "", ""]
    assert texts_of(parquet(tmp_path / "a.parquet", {"text": ["one", None]})) == ["one", ""]
    (tmp_path / "a.csv").write_text("id,text\n1,one\n2\n")
    assert texts_of(tmp_path / "a.csv") == ["one", ""]


@pytest.mark.parametrize("type", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())])
def test_parquet_holds_text_in_several_types(tmp_path, type):
    table = pa.table({"text": pa.array(["one", None, "two"], pa.string()).cast(type)})
    pq.write_table(table, tmp_path / "a.parquet")
    assert texts_of(tmp_path / "a.parquet") == ["one", "", "two"]


# ---- wrong requests --------------------------------------------------------------------------------------


def refused(path, match, **fields):
    with pytest.raises(BadSource, match=match) as caught:
        texts_of(path, **fields)
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("name", ["absent.txt", "absent/*.txt", "**/absent.txt"])
def test_a_file_that_is_not_there_is_named(tmp_path, name):
    refused(tmp_path / name, "absent")


def test_a_path_that_no_system_takes_is_refused():
    refused("a\0b.txt", "there is no file")
    refused("a" * 5000 + ".txt", "cannot be read: File name too long")


def test_a_file_that_cannot_be_opened_is_named(tmp_path):
    (tmp_path / "a.txt").write_text("one")
    source = source_of(tmp_path / "a.txt")
    (tmp_path / "a.txt").unlink()
    with pytest.raises(BadSource, match=r"a\.txt.*cannot be read"):
        list(source.documents())


def test_a_device_is_no_source():
    refused("/dev/zero", "not a regular file")


def test_a_pipe_in_a_glob_is_passed_over(tmp_path):
    os.mkfifo(tmp_path / "a.txt")
    (tmp_path / "b.txt").write_text("one")
    assert texts_of(tmp_path / "*.txt") == ["one"]


def test_an_unknown_ending_is_refused_with_those_known(tmp_path):
    (tmp_path / "a.pdf").write_text("one")
    refused(tmp_path / "a.pdf", r"'\.pdf'; known are \.txt \.jsonl \.csv \.parquet")


def test_mixed_kinds_are_refused(tmp_path):
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "b.csv").write_text("text\none\n")
    refused(tmp_path, r"mixes \.csv and \.txt")
    refused(tmp_path / "*", r"mixes \.csv and \.txt")


@pytest.mark.parametrize("kind", [".txt", ".jsonl", ".csv"])
def test_bytes_that_are_not_utf8_are_found_by_their_offset(tmp_path, kind):
    lead = {".txt": "é" * 10, ".jsonl": '{"text": "é"}\n' * 1500, ".csv": "text\n" + "é\n" * 40_000}[kind].encode()
    path = tmp_path / f"a{kind}"
    path.write_bytes(lead + b"\xe2\x82")
    refused(path, rf"offset {len(lead)} ")
    path.write_bytes(lead + b"\xff and more\n" + lead * 30)
    refused(path, rf"offset {len(lead)} ")


def test_a_binary_file_is_not_text(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\x7fELF\x02\x01\x01\x00" + bytes(range(256)))
    refused(tmp_path / "a.txt", "offset 136 ")


@pytest.mark.parametrize("kind", [".txt", ".jsonl", ".csv", ".parquet"])
def test_an_empty_file_is_called_empty(tmp_path, kind):
    (tmp_path / f"a{kind}").touch()
    refused(tmp_path / f"a{kind}", "is empty")
    (tmp_path / f"b{kind}").touch()
    refused(tmp_path, "all 2 files of .* are empty")


def test_records_without_any_are_no_documents(tmp_path):
    (tmp_path / "a.csv").write_text("text\n")
    refused(tmp_path / "a.csv", "holds no documents")
    (tmp_path / "a.jsonl").write_text("\n\n")
    refused(tmp_path / "a.jsonl", "holds no documents")
    refused(parquet(tmp_path / "a.parquet", {"text": pa.array([], pa.string())}), "holds no documents")


@pytest.mark.parametrize(
    "line", ['{"text": ', "not json", '["a", "list"]', '"text"', "[" * 200_000, '{"a": ' + "9" * 5000 + "}"]
)
def test_a_malformed_line_is_found_by_its_number(tmp_path, line):
    (tmp_path / "a.jsonl").write_text('{"text": "fine"}\n' * 2000 + line + "\n")
    refused(tmp_path / "a.jsonl", "line 2001 is not a JSON record")


@pytest.mark.parametrize("row", ['"never closed', '"a"b', "a,b,c"])
def test_a_malformed_csv_row_is_found_by_its_line(tmp_path, row):
    (tmp_path / "a.csv").write_text("id,text\n1,fine\n" + row + "\n")
    refused(tmp_path / "a.csv", "line [34] is not CSV")


def test_a_field_that_is_not_there_lists_those_that_are(tmp_path):
    for path in (
        jsonl(tmp_path / "a.jsonl", [{"id": 1, "body": "x"}]),
        csv_file(tmp_path / "a.csv", [["id", "body"], [1, "x"]]),
        parquet(tmp_path / "a.parquet", {"id": [1], "body": ["x"]}),
    ):
        refused(path, "has no field 'words'; its fields are: id, body", text_field="words")
    (tmp_path / "a.txt").write_text("one")
    refused(tmp_path / "a.txt", "no field 'words'", text_field="words")


def test_a_field_that_holds_no_text_is_refused(tmp_path):
    refused(parquet(tmp_path / "a.parquet", {"id": [1], "body": ["x"]}), "int64, not text", text_field="id")
    refused(jsonl(tmp_path / "a.jsonl", [{"id": "1"}, {"id": [2]}]), "line 2.*a list, not text", text_field="id")
    refused(jsonl(tmp_path / "b.jsonl", [{"id": 1}]), "no field of .* holds text")
    refused(parquet(tmp_path / "c.parquet", {"id": [1]}), "no field of .* holds text")


def test_a_later_file_without_the_field_is_named(tmp_path):
    parquet(tmp_path / "a.parquet", {"text": ["one"]})
    parquet(tmp_path / "b.parquet", {"words": ["two"]})
    refused(tmp_path, r"b\.parquet' has no field 'text'; its fields are: words")


def test_a_truncated_or_foreign_parquet_file_is_refused(tmp_path):
    path = parquet(tmp_path / "a.parquet", {"text": ["some text of some length"] * 1000})
    whole = path.read_bytes()
    for bad in (
        whole[:-100],
        whole[: len(whole) // 2],
        whole[:3],
        b"id,text\n1,one\n",
        b"PAR1" + b"\0" * 100 + b"PAR1",
    ):
        path.write_bytes(bad)
        refused(path, "not a whole Parquet file")
    broken = bytearray(whole)
    broken[4:60] = b"\xff" * 56
    path.write_bytes(broken)
    refused(path, "not a whole Parquet file")
