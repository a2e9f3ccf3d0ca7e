"""Many requests made from the API's own description, none of which may end in a fault of ours.

    python tests/fuzz_api.py --requests 3000

The suite makes some hundred of them (tests/web/test_fuzz.py). Prints how each operation answered; exit 1 after a 5xx.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from support.requests_made import fuzz
from support.served import filled


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    os.environ.pop("SAESCOPE_DATABASE_URL", None)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        answers, faults = fuzz(filled(Path(folder) / "home"), asked.requests, asked.seed)
    for operation, statuses in sorted(answers.items()):
        print(f"{operation:60} {dict(sorted(statuses.items()))}")
    total = sum(answers.values(), Counter())
    print(f"{total.total():,} requests in {time.perf_counter() - began:.0f} s: {dict(sorted(total.items()))}")
    for fault in faults[:20]:
        print("fault:", fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
