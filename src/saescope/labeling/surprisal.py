"""Surprisal: does knowing the label make the active texts likelier to a language model, and the silent ones not?

Each snippet is read twice, after the label and after a sentence about nothing; the gain is the difference of its
log-probability for each token. The score is the chance that an active snippet gains more than a silent one (the area
under the ROC curve), so that 0.5 is chance. It needs a server that gives the log-probabilities of what it is asked.
"""

from collections.abc import Sequence

import numpy as np

from ..records import Score
from .grading import Snippet
from .prompts import snippet
from .scoring import FEW
from .simulation import bootstrap
from .words import visible

EACH = 10
"""Snippets of either kind."""
PLAIN = "Some text from various sources."


def surprisal_pairs(label: str, snippets: Sequence[Snippet]) -> tuple[list[tuple[str, str]], list[Snippet]]:
    """((what is read before, what is judged), …) twice for each snippet: after the label, then after nothing."""
    sides = [[each for each in snippets if each.truth is side][:EACH] for side in (True, False)]
    some = [*sides[0], *sides[1]]
    about = " ".join(visible(label).split())
    texts = [" " + snippet(each.tokens) for each in some]
    return [(f"{before}\nText:", text) for text in texts for before in (f"Text with: {about}", PLAIN)], some


def score_surprisal(values: Sequence[float] | None, some: Sequence[Snippet], judge: str) -> Score | None:
    """The area under the curve of the gains; None with fewer than FEW snippets of either kind."""
    active = sum(each.truth for each in some)
    if min(active, len(some) - active) < FEW:
        return None
    if values is None or len(values) != 2 * len(some):
        return Score(None, 0, None, None, 0.5, len(some), judge, "bootstrap")
    after, plain = np.array(values).reshape(-1, 2).T
    gains = (after - plain) / np.array([max(1, len(each.tokens)) for each in some])
    value, low, high = bootstrap(list(zip(gains, [each.truth for each in some], strict=True)), _area, some[0].sample)
    return Score(round(value, 4), len(some), round(low, 4), round(high, 4), 0.5, 0, judge, "bootstrap")


def _area(items: Sequence[tuple[float, bool]]) -> float:
    gains, truth = np.array([gain for gain, _ in items]), np.array([side for _, side in items])
    if truth.all() or not truth.any():
        return 0.5
    above = gains[truth][:, None] - gains[~truth][None, :]
    return float(np.mean((above > 0) + 0.5 * (above == 0)))
