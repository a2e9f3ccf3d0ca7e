"""How well the bounded shuffle mixes: how often two activations of a batch come from one row, or one document.

    python benchmarks/shuffle.py [--tokens 2400000] [--context 128] [--batch 2048]

The stream itself, over rows that give their own numbers in place of activations. Each line: share of pairs of a batch
from one row and from one document (64 rows that follow each other), both in ratio to a perfect shuffle of the whole
text, and how the mean place in the text of one batch correlates with that of the next: blocks differ from each other by
chance, and 0 says that nothing of it is felt.
"""

import argparse
import itertools

import numpy as np
import torch

from saescope.training import ShuffledActivations

DOCUMENT = 64
"""Rows of one document."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=2_400_000)
    parser.add_argument("--context", type=int, default=128)
    parser.add_argument("--batch", type=int, default=2048)
    given = parser.parse_args()
    rows = given.tokens // given.context
    for buffer in (16_384, 65_536, 262_144, 1_048_576, given.tokens):
        batches = stream(rows, given.context, given.batch, buffer)
        same_row = pairs(batches) / pairs_by_chance(rows, given.context)
        same_document = pairs(batches // DOCUMENT) / pairs_by_chance(rows // DOCUMENT, given.context * DOCUMENT)
        drift = (batches / rows).mean(1)
        left = np.corrcoef(drift[:-1], drift[1:])[0, 1]
        print(
            f"buffer {buffer:>9,}  one row {same_row:6.2f} x  one document {same_document:5.2f} x  "
            f"next batch {left:+.3f}"
        )


def stream(rows: int, context: int, batch: int, buffer: int) -> np.ndarray:
    """[batches, batch]: the row of each activation of one epoch."""

    def read(numbers: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.repeat(numbers, context)[:, None].astype(np.float32))

    found = ShuffledActivations(read, rows, context=context, buffer=buffer, batch=batch, counts=np.full(rows, context))
    return np.stack([part[:, 0].numpy() for part in itertools.islice(found.batches(), rows * context // batch)])


def pairs(batches: np.ndarray) -> float:
    """Share of the pairs of a batch that are equal."""
    size, equal = batches.shape[1], 0
    for batch in batches.astype(np.int64):
        counts = np.unique(batch, return_counts=True)[1]
        equal += int((counts * (counts - 1)).sum())
    return equal / (len(batches) * size * (size - 1))


def pairs_by_chance(groups: int, size: int) -> float:
    """The same of a perfect shuffle."""
    return (size - 1) / (groups * size - 1)


if __name__ == "__main__":
    main()
