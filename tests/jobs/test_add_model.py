"""What is noted of a model when it is added."""

from saescope.studio import Studio


def test_the_number_format_is_settled_when_a_model_is_added(studio: Studio) -> None:
    """`auto` depends on the machine, and so would the fingerprint of a home that is moved."""
    assert studio.show_model("wide")["dtype"] in ("float32", "bfloat16", "float16")
