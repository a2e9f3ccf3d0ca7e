"""Hashes: equal for equal things, different for different ones."""

from saescope.fingerprint import content_hash, file_hash, tokenizer_fingerprint
from support.tiny import tiny_tokenizer


def test_parts_are_told_apart_by_type_and_border():
    keys = [
        ("ab", "c"),
        ("a", "bc"),
        ("abc",),
        ("1",),
        (1,),
        (True,),
        (None,),
        ("None",),
        (b"1",),
        (1.0,),
        (),
    ]
    assert len({content_hash(*key) for key in keys}) == len(keys)
    assert content_hash("a", 1, None) == content_hash("a", 1, None)


def test_a_file_hash_follows_the_content(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"x" * 3_000_000)
    one = file_hash(path)
    path.write_bytes(b"x" * 2_999_999 + b"y")
    assert one != file_hash(path)
    path.write_bytes(b"")
    assert file_hash(path) == "99aa06d3014798d86001c324468d497f"


def test_a_tokenizer_keeps_its_fingerprint_through_disk_and_use(tmp_path):
    tokenizer = tiny_tokenizer()
    before = tokenizer_fingerprint(tokenizer)
    tokenizer("some text", truncation=True, max_length=3, padding="max_length")
    assert tokenizer_fingerprint(tokenizer) == before
    tokenizer.save_pretrained(tmp_path)
    assert tokenizer_fingerprint(type(tokenizer).from_pretrained(tmp_path)) == before


def test_another_vocabulary_or_special_token_is_another_tokenizer():
    tokenizers = [
        tiny_tokenizer(),
        tiny_tokenizer(vocabulary=300),
        tiny_tokenizer(bos=False),
        tiny_tokenizer(pad=False),
    ]
    assert len(set(map(tokenizer_fingerprint, tokenizers))) == len(tokenizers)
