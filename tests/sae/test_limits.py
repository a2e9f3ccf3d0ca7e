"""A hostile file costs less than a second and less than 64 MB, measured in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

HOSTILE = Path(__file__).parents[1] / "golden" / "hostile"

PROGRAM = """
import json, resource, sys, time
from pathlib import Path
from saescope.errors import WrongRequest
from saescope.sae import load_sae
hostile = Path(sys.argv[1])
load_sae(hostile / "control_valid")
measured = {}
for name in json.loads((hostile / "expected.json").read_text()):
    before, clock = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    try:
        load_sae(hostile / name)
        said = "loaded"
    except WrongRequest as refusal:
        said = refusal.message
    spent = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    measured[name] = (said, time.perf_counter() - clock, spent / 1024)
print(json.dumps(measured))
"""


def test_every_hostile_file_is_refused_within_a_second_and_64_mb(tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(HOSTILE)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    measured = json.loads(answer.stdout)
    assert len(measured) == 35
    assert [name for name, (said, _, _) in measured.items() if said == "loaded"] == ["control_valid"]
    assert {name: took for name, (_, took, _) in measured.items() if took >= 1} == {}
    assert {name: megabytes for name, (_, _, megabytes) in measured.items() if megabytes >= 64} == {}
    assert not list(tmp_path.iterdir())
