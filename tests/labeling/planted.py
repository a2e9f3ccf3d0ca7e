"""Features that are known rules, on a text made from a seed: what an SAE built by hand would be active on."""

import random

from saescope.labeling import ExampleText, FeatureText, grading

NOUNS = "river harbor senate treaty army budget school farmer railway island bank court winter senator vessel".split()
VERBS = "opened closed carried wanted found built watched left moved praised feared counted".split()
SMALL = "the of and to a in that it was for with as his on by at from their".split()
SAMPLES, LENGTH, WINDOW = 400, 64, 32


def corpus(seed: int = 0) -> list[list[str]]:
    """Rows of tokens with leading spaces; a few sentences are quotations, a few words are numbers."""
    draw, rows = random.Random(seed), []
    for _ in range(SAMPLES):
        row: list[str] = []
        while len(row) < LENGTH:
            words = [draw.choice(SMALL if at % 2 else NOUNS + VERBS) for at in range(draw.randint(5, 9))]
            if draw.random() < 0.12:
                words[2] = str(draw.randint(2, 99))
            quoted = draw.random() < 0.15
            row += ['"'] * quoted + [" " + word for word in words] + [" quoth"] * quoted + ['"'] * quoted + ["."]
        rows.append(row[:LENGTH])
    return rows


def quotation(row: list[str]) -> set[int]:
    """Every word between two quotation marks."""
    inside, held = False, set()
    for at, token in enumerate(row):
        if token == '"':
            inside = not inside
        elif inside:
            held.add(at)
    return held


def rules() -> dict[str, object]:
    """Name and rule of each planted feature: the tokens of a row on which it is active."""
    found: dict[str, object] = {
        f"token {word}": lambda row, word=word: {at for at, token in enumerate(row) if token == " " + word}
        for word in (*NOUNS, *VERBS)
    }
    for first, second in (("the", "river"), ("of", "senate"), ("was", "built"), ("to", "bank"), ("in", "winter")):
        found[f"bigram {first} {second}"] = lambda row, first=first, second=second: {
            at for at in range(1, len(row)) if row[at] == " " + second and row[at - 1] == " " + first
        }
    found["digits"] = lambda row: {at for at, token in enumerate(row) if token.strip().isdigit()}
    found["quotation"] = quotation
    return found


def examples(rule, rows, seed: int = 0) -> list[ExampleText]:
    """Strongest, drawn and silent windows of a rule, as an extraction keeps them."""
    draw, kept, silent = random.Random(seed), [], []
    for sample, row in enumerate(rows):
        active = rule(row)
        strength = {at: 4.0 + draw.random() for at in sorted(active)}
        peak = max(strength, key=strength.get) if strength else draw.randrange(1, LENGTH)
        start = min(max(peak - WINDOW // 2, 1), LENGTH - WINDOW)
        values = [strength.get(at, 0.0) for at in range(start, start + WINDOW)]
        window = ExampleText(row[start : start + WINDOW], values, peak - start, "none", start, sample)
        (kept if strength else silent).append(window)
    kept.sort(key=lambda window: -max(window.activations))
    drawn = draw.sample(kept, min(40, len(kept)))
    quarters = [window._replace(stratum=f"q{1 + at % 4}") for at, window in enumerate(drawn)]
    return [window._replace(stratum="top") for window in kept[:60]] + quarters + silent[:30]


def planted(seed: int = 0):
    """(name, what to write from, snippets for detection, snippets for fuzzing) of each feature."""
    rows = corpus(seed)
    every = {name: examples(rule, rows, seed) for name, rule in rules().items()}
    names = list(every)
    for index, name in enumerate(names):
        writing, held = grading.split(every[name], seed, index)
        near = [each for other in (-1, 1) for each in every[names[(index + other) % len(names)]][:20]]
        known = {each.sample for each in every[name] if each.stratum != "none"}
        silent = [each for each in near if not rules()[name](rows[each.sample])]
        detecting = grading.detection(index, held, silent, known, seed)
        yield name, FeatureText(index, writing), detecting, grading.fuzzing(index, held, seed)
