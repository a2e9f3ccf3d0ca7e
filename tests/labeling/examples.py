"""Features made of sentences: the peak stands between « and »."""

import re

from saescope.labeling import ExampleText, FeatureText

FILLER = [
    "The commerce of the country was never in a better state, and the receipts of the year were large.",
    "Our relations with all other nations continue to be friendly; I have nothing new to report.",
    "It remains for the Congress to say how the money may be raised and to whom it shall be given.",
    "A commission was sent to the islands in March, and its members returned with 14 recommendations.",
]


def example(marked, activation=5.0, stratum="top", start=None):
    """A window of tokens with leading spaces; inside «» one token, `|` splits a word into pieces."""
    tokens, activations, peak = [], [], 0
    for part in re.findall(r"«[^»]*»|[^«»]+", marked):
        if part.startswith("«"):
            spaced = tokens and tokens[-1] == " "
            if spaced:
                tokens.pop(), activations.pop()
            peak = len(tokens)
            tokens.append(" " * bool(spaced) + part[1:-1])
            activations.append(activation)
        else:
            pieces = re.findall(r"\n| ?[^\W\d]+| ?\d| ?[^\w\s|]| ", part.replace("|", "\0"))
            tokens.extend(pieces)
            activations.extend([0.0] * len(pieces))
    return ExampleText(tokens, activations, peak, stratum, start)


def feature(*marked, writes=(), start=None, contrast=True):
    """One feature with its strongest examples first, and some sentences on which it is silent."""
    examples = [example(text, 9.0 - 0.1 * at, start=start) for at, text in enumerate(marked)]
    if contrast:
        examples += [example(text.replace("country", "«country»"), 0.0, "none") for text in FILLER]
    return FeatureText(3, examples, writes, 0.01)
