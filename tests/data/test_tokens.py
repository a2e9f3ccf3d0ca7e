"""Documents to rows of tokens: every token once, in order, with the characters it came from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from saescope.data.documents import import_documents, read_documents
from saescope.data.encoding import split_text
from saescope.data.readers import TextFile
from saescope.data.sources import Source
from saescope.data.tokens import TokenStore, token_store_key, tokenize
from saescope.errors import BadValue, BrokenHome, NoSpace
from saescope.home import Home
from support.tiny import tiny_tokenizer

TOKENIZER = tiny_tokenizer()
FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467"
TEXTS = [
    "The people of the United States.\r\nOur nation\r\n",
    f"{FAMILY} sea shells {FAMILY}{FAMILY} \x00 nul",
    "short",
    "日本語のテキスト、 é́ combining, \ufeff mark",
]


class Texts(Source):
    """A source of given texts."""

    def __init__(self, texts):
        super().__init__("texts", ".txt", (TextFile("texts", None),), None)
        object.__setattr__(self, "texts", list(texts))

    def documents(self):
        yield from self.texts


def store_of(tmp_path, texts, context=8, tokenizer=TOKENIZER, **options):
    import_documents(Texts(texts), tmp_path / "documents")
    return tokenize(tmp_path / "documents", tokenizer, context, tmp_path / "tokens", **options)


def ids_of(text, tokenizer=TOKENIZER):
    return tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids


def stream_of(store):
    """All tokens without each row's first, padding left out."""
    return [int(id) for row, n in zip(store.tokens, store.lengths, strict=True) for id in row[1:n]]


def test_rows_hold_all_documents_in_order_separated_by_eos(tmp_path):
    store = store_of(tmp_path, TEXTS)
    expected = []
    for text in TEXTS:
        expected += [*ids_of(text), TOKENIZER.eos_token_id]
    assert stream_of(store) == expected[:-1]
    assert set(store.tokens[:, 0]) == {TOKENIZER.bos_token_id}
    assert (store.lengths[:-1] == 8).all()
    assert store.text_tokens == len(expected) - len(TEXTS)
    assert store.n_tokens == store.lengths.sum()
    assert store.document_lengths().tolist() == [len(ids_of(text)) for text in TEXTS]


def test_a_row_of_its_own_document_holds_no_other(tmp_path):
    store = store_of(tmp_path, TEXTS, packing="documents")
    documents = [{document for _, document, _, _ in store.spans(row)} for row in range(store.samples)]
    assert all(len(found) == 1 for found in documents)
    assert stream_of(store) == [id for text in TEXTS for id in ids_of(text)]
    assert store.samples == sum(-(-len(ids_of(text)) // 7) for text in TEXTS)


@pytest.mark.parametrize("packing", ["packed", "documents"])
@pytest.mark.parametrize("context", [2, 5, 16, 512])
def test_the_text_at_a_span_is_what_its_tokens_decode_to(tmp_path, context, packing):
    store = store_of(tmp_path, TEXTS, context=context, packing=packing)
    check_spans(store, TEXTS)


def check_spans(store, texts, tokenizer=TOKENIZER):
    """The bytes of a span are its tokens' bytes, but for the parts of a character that a row's end cuts."""
    ends = dict.fromkeys(range(len(texts)), 0)
    seen = dict.fromkeys(range(len(texts)), b"")
    for sample, position, length, document, start, end in store.segments.tolist():
        pieces = tokenizer.convert_ids_to_tokens(store.tokens[sample, position : position + length].tolist())
        data = b"".join(spelled(piece) for piece in pieces)
        text = texts[document][start:end].encode()
        if len(data) == len(text):
            assert data == text
        else:
            assert data in text
            assert len(text) - len(data) < 8
        assert start in (ends[document], ends[document] - 1)
        ends[document] = end
        seen[document] += data
    assert [ends[document] for document in ends] == [len(text) for text in texts]
    assert [seen[document].decode() for document in seen] == list(texts)
    first = [store.spans(sample) for sample in range(store.samples)]
    flat = [(sample, *span) for sample, spans in enumerate(first) for span in spans]
    assert flat == [(s[0], s[1], s[3], s[4], s[5]) for s in store.segments.tolist()]


def spelled(piece, table=None):
    """The bytes of a byte-level token."""
    table = table or _BYTES
    return bytes(table[character] for character in piece)


def _byte_table():
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(b): b for b in plain} | {chr(256 + i): b for i, b in enumerate(others)}


_BYTES = _byte_table()


@settings(max_examples=40, deadline=None)
@given(
    texts=st.lists(
        st.text(min_size=1, max_size=60).filter(lambda t: t.strip() and spellable(t)), min_size=1, max_size=6
    ),
    context=st.integers(2, 20),
    packing=st.sampled_from(["packed", "documents"]),
)
def test_any_text_survives_the_way_to_rows(tmp_path_factory, texts, context, packing):
    store = store_of(tmp_path_factory.mktemp("any"), texts, context=context, packing=packing)
    check_spans(store, texts)


def spellable(text):
    return not any("\ud800" <= character <= "\udfff" for character in text)


def test_position_0_and_every_special_token_do_not_count(tmp_path):
    store = store_of(tmp_path, ["one two", "three <eos> four"], context=64)
    row = store.tokens[0]
    valid = store.valid(slice(0, 1))[0]
    assert store.special_ids == (0, 1, 2)
    assert (row == TOKENIZER.eos_token_id).sum() == 2
    assert not valid[0]
    assert valid.tolist() == [bool(p and id not in (0, 1, 2)) for p, id in enumerate(row)]
    everything = store.valid(np.array([0]), include_special=True)[0]
    assert everything.sum() == store.lengths[0] == store.n_tokens


@pytest.mark.parametrize(
    ("options", "first", "separator", "padding"),
    [({"bos": False}, 1, 1, 2), ({"eos": False}, 0, 0, 2), ({"pad": False}, 0, 1, 1)],
)
def test_what_stands_in_for_a_missing_special_token(tmp_path, options, first, separator, padding):
    tokenizer = tiny_tokenizer(**options)
    store = store_of(tmp_path, ["one", "two"], context=64, tokenizer=tokenizer)
    one = ids_of("one", tokenizer)
    assert store.tokens[0, 0] == first
    assert store.tokens[0, 1 + len(one)] == separator
    assert store.tokens[0, -1] == padding == store.pad_id


def test_a_tokenizer_with_neither_bos_nor_eos_is_refused(tmp_path):
    with pytest.raises(BadValue, match="neither a BOS nor an EOS"):
        store_of(tmp_path, ["one"], tokenizer=tiny_tokenizer(bos=False, eos=False))


def test_a_context_without_room_for_text_is_refused(tmp_path):
    with pytest.raises(BadValue, match="context"):
        store_of(tmp_path, ["one"], context=1)


def test_truncation_left_on_in_a_tokenizer_neither_cuts_nor_is_changed(tmp_path):
    tokenizer = tiny_tokenizer()
    tokenizer.backend_tokenizer.enable_truncation(4)
    tokenizer.backend_tokenizer.enable_padding(length=9)
    text = "the people of the United States " * 20
    store = store_of(tmp_path, [text], tokenizer=tokenizer)
    assert store.text_tokens == len(ids_of(text))
    assert tokenizer.backend_tokenizer.truncation["max_length"] == 4
    assert store.key == store_of(tmp_path / "again", [text]).key


def test_a_word_of_a_megabyte_survives(tmp_path):
    text = "x" * 1_000_000
    store = store_of(tmp_path, [text], context=128)
    assert store.segments[-1, 5] == 1_000_000
    assert TOKENIZER.decode(stream_of(store)) == text


def test_a_long_document_is_cut_where_tokens_end_anyway(tmp_path):
    text = ("Our nation, our economy and 1945 years — the people;\n\n  of war\t" * 9000) + "end"
    parts = list(split_text(text))
    assert len(parts) > 2
    assert "".join(part for _, part in parts) == text
    assert [offset for offset, _ in parts] == [0, *np.cumsum([len(part) for _, part in parts])[:-1]]
    assert stream_of(store_of(tmp_path, [text], context=100)) == ids_of(text)


def test_a_long_text_without_spaces_is_cut_too():
    assert [len(part) for _, part in split_text("日" * 500_000)] == [200_000, 200_000, 100_000]
    lines = list(split_text("日本\n" * 100_000))
    assert all(part.endswith("\n") for _, part in lines)


def test_a_tokenizer_that_starts_every_text_with_a_space_gets_none_twice(tmp_path):
    plain = Tokenizer(models.WordLevel({"▁people": 0, "▁": 1, "<s>": 2, "</s>": 3, "<unk>": 4}, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    text = "people " * 60_000 + "people"
    store = store_of(tmp_path, [text], context=128, tokenizer=plain)
    assert store.text_tokens == 60_001
    assert set(np.unique(store.tokens)) == {0, 2, 3}
    starts, ends = store.segments[:, 4], store.segments[:, 5]
    assert starts[0] == 0
    assert ends[-1] == len(text)
    assert (starts[1:] <= ends[:-1]).all()


def test_documents_without_tokens_keep_their_number(tmp_path):
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "<s>": 1, "</s>": 2}))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split("x", "removed"), pre_tokenizers.WhitespaceSplit()]
    )
    store = store_of(tmp_path, ["a", "xx", "a a"], tokenizer=tokenizer)
    assert store.document_lengths().tolist() == [1, 0, 2]
    assert store.tokens[0].tolist() == [1, 0, 2, 0, 0, 2, 2, 2]
    assert store.lengths.tolist() == [5]


def test_the_same_request_gives_the_same_store_and_another_one_another(tmp_path):
    one = store_of(tmp_path / "a", TEXTS)
    two = store_of(tmp_path / "b", TEXTS)
    assert (one.key, one.fingerprint) == (two.key, two.fingerprint)
    assert store_of(tmp_path / "c", TEXTS[:3]).fingerprint != one.fingerprint
    keys = {
        token_store_key("d", "t", 128, "packed"),
        token_store_key("d", "t", 128, "documents"),
        token_store_key("d", "t", 64, "packed"),
        token_store_key("d", "u", 128, "packed"),
        token_store_key("e", "t", 128, "packed"),
    }
    assert len(keys) == 5


def test_many_batches_give_what_one_gives(tmp_path, monkeypatch):
    texts = [f"{text} {number}" for number in range(50) for text in TEXTS]
    whole = store_of(tmp_path / "a", texts)
    monkeypatch.setattr("saescope.data.encoding._BATCH", 50)
    monkeypatch.setattr("saescope.data.packing._HELD", 30)
    parts = store_of(tmp_path / "b", texts)
    assert whole.fingerprint == parts.fingerprint
    assert (whole.segments == parts.segments).all()
    assert (whole.lengths == parts.lengths).all()
    check_spans(parts, texts)


def test_length_quantiles_are_lengths_that_occur(tmp_path):
    store = store_of(tmp_path, [f"{'a' * n}" for n in (1, 2, 3, 40)])
    assert store.length_quantiles()["min"] == store.document_lengths().min()
    assert store.length_quantiles()["max"] == store.document_lengths().max()
    assert set(store.length_quantiles().values()) <= set(store.document_lengths().tolist())


def test_a_damaged_store_is_not_opened(tmp_path):
    store = store_of(tmp_path, TEXTS)
    data = (store.folder / "tokens.npy").read_bytes()
    (store.folder / "tokens.npy").write_bytes(data[:-4])
    with pytest.raises(BrokenHome, match="damaged"):
        TokenStore.open(store.folder)
    (store.folder / "tokens.npy").write_bytes(data)
    assert TokenStore.open(store.folder).fingerprint == store.fingerprint
    (store.folder / "tokens.json").write_text("{")
    with pytest.raises(BrokenHome, match="damaged"):
        TokenStore.open(store.folder)


def test_documents_are_read_as_they_were_written(tmp_path):
    store_of(tmp_path, TEXTS)
    assert list(read_documents(tmp_path / "documents")) == list(enumerate(TEXTS))


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path):
    resource = pytest.importorskip("resource")
    import_documents(Texts(["the people of the United States " * 9000]), tmp_path / "documents")
    home = Home(tmp_path / "home")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(NoSpace, match="no space left"), home.making("tokens", "T") as draft:
            tokenize(tmp_path / "documents", TOKENIZER, 128, draft)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(home.work.iterdir())
    assert not home.artifact("tokens", "T").exists()


def test_progress_counts_documents(tmp_path):
    seen = []
    store_of(tmp_path, ["text"] * 130, progress=seen.append)
    assert [step.done for step in seen] == [64, 128, 130]
    assert {step.unit for step in seen} == {"documents"}
