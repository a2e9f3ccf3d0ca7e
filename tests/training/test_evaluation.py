import pytest

from saescope.errors import BadValue
from saescope.training import ce_recovered


def test_loss_recovered_goes_from_zero_to_one() -> None:
    assert ce_recovered(clean=3.0, zero=11.0, reconstructed=3.0) == 1.0
    assert ce_recovered(clean=3.0, zero=11.0, reconstructed=11.0) == 0.0
    assert ce_recovered(clean=3.0, zero=11.0, reconstructed=4.0) == pytest.approx(0.875)


def test_a_hookpoint_that_does_not_matter_cannot_be_measured() -> None:
    with pytest.raises(BadValue, match="with and without"):
        ce_recovered(3.0, 3.0, 3.0)
