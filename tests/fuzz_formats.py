"""Many broken checkpoints, each of which must be refused in one line, or loaded, within a second.

    python tests/fuzz_formats.py --mutations 100000

The suite does 2,000 of them (tests/sae/test_fuzz.py). Prints what came of them; exit 1 where one crashed or took long.
"""

import argparse
import os
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from saescope.errors import WrongRequest
from saescope.sae import read_sae
from support.mutations import SOURCES, mutated, sound, write


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    checkpoints = {name: sound(name) for name in SOURCES}
    outcomes: Counter[str] = Counter()
    slowest, began = 0.0, time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        folder = Path(place) / "layer_5"
        folder.mkdir()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in range(asked.mutations):
            chance = random.Random(f"{asked.seed}-{number}")
            name = chance.choice(list(checkpoints))
            write(mutated(checkpoints[name], chance), folder)
            clock = time.perf_counter()
            try:
                read_sae(folder)
                outcome = "loaded"
            except WrongRequest as refusal:
                outcome = "refused" if "\n" not in str(refusal) and len(str(refusal)) < 2000 else "refused at length"
            except Exception as error:
                outcome = f"crashed: {type(error).__name__}"
                print(f"mutation {number} of {name}: {type(error).__name__}: {str(error)[:200]}")
            took = time.perf_counter() - clock
            slowest = max(slowest, took)
            outcomes[outcome if took < 1 else f"{outcome}, slowly"] += 1
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        ran = list(Path(place).rglob("CANARY"))
    for outcome, count in outcomes.most_common():
        print(f"{count:8,} {outcome}")
    print(f"slowest {slowest:.3f} s, memory grew by {grown:.1f} MB, {time.perf_counter() - began:.0f} s in all")
    return 0 if set(outcomes) <= {"refused", "loaded"} and not ran else 1


if __name__ == "__main__":
    sys.exit(main())
