"""Requests that the API's own description allows, and that nobody would think of."""

from saescope.home import Home
from support.requests_made import fuzz


def test_no_request_of_the_description_ends_in_a_fault(home: Home) -> None:
    answers, faults = fuzz(home, 300, 0)
    assert faults == []
    assert all(answers.values())
    assert sum(statuses[200] + statuses[201] + statuses[204] for statuses in answers.values()) > 20
