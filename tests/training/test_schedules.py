import pytest

from saescope.training.schedules import default_lr, learning_rate, sparsity


def test_learning_rate_rises_stays_and_falls() -> None:
    rates = [learning_rate(step, 1000, 2.0, 0.05, 0.2) for step in range(1000)]
    assert rates[0] == pytest.approx(2.0 / 50)
    assert rates[:50] == sorted(rates[:50])
    assert rates[49:800] == [2.0] * 751
    assert rates[800:] == sorted(rates[800:], reverse=True)
    assert rates[900] == pytest.approx(1.0)
    assert 0 < rates[999] < 0.02


@pytest.mark.parametrize("total", [1, 2, 3, 10])
def test_learning_rate_of_a_very_short_run_is_positive(total: int) -> None:
    rates = [learning_rate(step, total, 1.0, 0.05, 0.2) for step in range(total)]
    assert all(0 < rate <= 1 for rate in rates)


def test_warm_up_has_a_bound_in_long_runs() -> None:
    assert learning_rate(999, 1_000_000, 1.0, 0.05, 0.2) == 1.0


def test_sparsity_rises_to_one() -> None:
    assert sparsity(0, 1000, 0.05) == pytest.approx(0.02)
    assert sparsity(49, 1000, 0.05) == sparsity(999, 1000, 0.05) == 1.0


def test_wider_saes_learn_more_slowly() -> None:
    assert default_lr(2**14) == pytest.approx(8e-4)
    assert default_lr(2**16) == pytest.approx(4e-4)
