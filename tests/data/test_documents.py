"""Documents brought in: in order, blank ones counted and left out, whole or not at all."""

import hashlib
import json

import pytest

from saescope.data.documents import (
    character_quantiles,
    document_text,
    documents_summary,
    import_documents,
    read_documents,
)
from saescope.data.sources import open_source
from saescope.errors import BadSource, BrokenHome, NoSpace
from saescope.home import Home
from saescope.specs import AddDataset


def source_of(tmp_path, texts, **fields):
    path = tmp_path / "source.jsonl"
    path.write_text("\n".join(json.dumps({"text": text}) for text in texts))
    return open_source(AddDataset(name="d", source=str(path), **fields))


def test_documents_come_back_in_order_without_blank_ones(tmp_path):
    texts = ["one\r\n", " \t\n", "", "two \x00", "\u3000", "\U0001f469\u200d\U0001f467"]
    summary = import_documents(source_of(tmp_path, texts), tmp_path / "out")
    assert list(read_documents(tmp_path / "out")) == [(0, texts[0]), (1, texts[3]), (2, texts[5])]
    assert (summary.documents, summary.blank) == (3, 3)
    assert summary.characters == 5 + 5 + 3
    assert documents_summary(tmp_path / "out") == summary


def test_half_a_surrogate_pair_becomes_one_replacement_character(tmp_path):
    texts = ["a\ud800b", "\udc00", "\ud83d\ude00 joined"]
    summary = import_documents(source_of(tmp_path, texts), tmp_path / "out")
    assert [text for _, text in read_documents(tmp_path / "out")] == [
        "a\ufffdb",
        "\ufffd",
        "\U0001f600 joined",
    ]
    assert summary.repaired == 2


def test_lengths_are_told_in_characters(tmp_path):
    import_documents(source_of(tmp_path, ["é" * n for n in (3, 1, 40)]), tmp_path / "out")
    found = character_quantiles(tmp_path / "out")
    assert (found["min"], found["p50"], found["max"]) == (1, 3, 40)


def test_one_document_is_found_among_many(tmp_path):
    texts = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(2500)]
    import_documents(source_of(tmp_path, texts), tmp_path / "out")
    assert [document_text(tmp_path / "out", number) for number in (0, 1023, 1024, 2499)] == [
        texts[number] for number in (0, 1023, 1024, 2499)
    ]
    assert [text for _, text in read_documents(tmp_path / "out")] == texts


def test_the_fingerprint_is_of_the_texts_and_their_order(tmp_path):
    def fingerprint(texts):
        return import_documents(source_of(tmp_path, texts), tmp_path / "out").fingerprint

    assert fingerprint(["ab", "c"]) == fingerprint(["ab", "  ", "c"])
    assert len({fingerprint(texts) for texts in (["ab", "c"], ["a", "bc"], ["c", "ab"], ["abc"])}) == 4


def test_a_limit_counts_documents_with_text(tmp_path):
    source = source_of(tmp_path, ["", "one", "", "two", "three"], limit=2)
    assert import_documents(source, tmp_path / "out").documents == 2
    assert [text for _, text in read_documents(tmp_path / "out")] == ["one", "two"]


def test_only_blank_documents_are_refused_with_their_number(tmp_path):
    with pytest.raises(BadSource, match=r"all 3 documents of .* are blank"):
        import_documents(source_of(tmp_path, ["", " ", "\n"]), tmp_path / "out")


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path):
    resource = pytest.importorskip("resource")
    home = Home(tmp_path / "home")
    texts = [hashlib.sha512(str(number).encode()).hexdigest() * 8 for number in range(3000)]
    source = source_of(tmp_path, texts)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(NoSpace, match="no space left"), home.making("datasets", "D") as draft:
            import_documents(source, draft)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not home.artifact("datasets", "D").exists()
    assert not list(home.work.iterdir())


def test_a_bad_line_in_the_middle_leaves_nothing(tmp_path):
    home = Home(tmp_path / "home")
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "one"}\n' * 200 + '{"text": \n')
    source = open_source(AddDataset(name="d", source=str(path)))
    with pytest.raises(BadSource, match="line 201"), home.making("datasets", "D") as draft:
        import_documents(source, draft)
    assert not list(home.work.iterdir())
    assert not home.artifact("datasets", "D").exists()


def test_damaged_documents_are_called_damaged(tmp_path):
    import_documents(source_of(tmp_path, ["one"]), tmp_path / "out")
    (tmp_path / "out/documents.parquet").write_bytes(b"x")
    with pytest.raises(BrokenHome, match="damaged"):
        list(read_documents(tmp_path / "out"))
    (tmp_path / "out/documents.json").write_text("{")
    with pytest.raises(BrokenHome, match="damaged"):
        documents_summary(tmp_path / "out")
