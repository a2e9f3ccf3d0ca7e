"""One string for every token id."""

from tokenizers import Tokenizer, models

from saescope.data.vocabulary import vocabulary


def test_ids_that_no_token_has_are_empty_and_the_others_stay_in_their_place() -> None:
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 5}, unk_token="a"))
    assert vocabulary(tokenizer) == ["a", "", "", "", "", "b"]
