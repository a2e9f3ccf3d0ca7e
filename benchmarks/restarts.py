"""Two servers with a worker each carry out jobs on one PostgreSQL that is restarted again and again.

    python benchmarks/restarts.py [--jobs 500] [--restarts 10] [--json FILE]

The PostgreSQL is a real one of our own (its programs have to be installed), restarted in its immediate mode, as after
a crash. Each job adds a dataset. Exit 1 where a job was not carried out once and only once.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from saescope.home import Home
from support.postgresql import running
from support.restarts import restarted

RESULTS = Path(__file__).parent / "results" / "restarts.json"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--restarts", type=int, default=10)
    parser.add_argument("--json", type=Path, default=RESULTS, help="where the figures go")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running() as database:
        os.environ["SAESCOPE_DATABASE_URL"] = database.fresh()
        figures = restarted(Home(folder), database, args.jobs, args.restarts, web=True)
    kept = figures["succeeded"] == figures["datasets"] == args.jobs and not figures["doubled"]
    figures["promises kept"] = kept and not figures["left over"] and figures["exit codes"] == [0]
    args.json.parent.mkdir(exist_ok=True)
    args.json.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures))
    return 0 if figures["promises kept"] else 1


if __name__ == "__main__":
    sys.exit(main())
