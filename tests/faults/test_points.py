"""Every fault point in the code: a process killed there for real, more than once, and the next one carries on.

Three datasets are added, and of each an SAE is trained and an extraction made; all are killed at one point after the
other. What comes out equals what undisturbed runs make, to the bit; nothing is there twice, and nothing is left over.
"""

import ast
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import saescope
from saescope import faults
from saescope.home import Home
from saescope.store import jobs, schema
from saescope.studio import Studio
from support.working import extract, orphans, prepared, queue, result, same, train, work

TEXTS = {"text-1": 300, "text-2": 320, "text-3": 340}

KILLS = {
    # point, and the how manyth passing is the last one, in the first, second and third run
    "dataset": [
        ("claim.writing", (1, 1, 1)),
        ("claim.committed", (1, 1, 1)),
        ("making.written", (1, 1, 1)),
        ("making.synced", (1, 1, 1)),
        ("making.renamed", (1, 1, 1)),
        ("listing.writing", (1, 1, 1)),
        ("end.writing", (1, 1, 1)),
        ("end.committed", (1, 1, 1)),
    ],
    "train": [
        ("whole.written", (1, 1, 1)),  # of the cache of activations
        ("metrics.cut", (1, 1, 1)),
        ("train.step", (1, 15, 33)),
        ("checkpoint.written", (1, 2, 3)),
        ("checkpoint.placed", (1, 1, 2)),
        ("kept.writing", (2, 3, 1)),
        ("train.trained", (1, 1, 1)),
        ("listing.committed", (1, 1, 1)),
    ],
    "extract": [
        ("beat.writing", (1, 2, 4)),
        ("extract.block", (1, 2, 3)),
        ("release.writing", (1, 1, 1)),
        ("state.written", (1, 2, 3)),
        ("state.aside", (1, 2, 2)),
        ("state.placed", (2, 1, 2)),
        ("extract.swept", (1, 1, 1)),
        ("making.renamed", (2, 1, 1)),  # in the first run after the facts of the SAE
        ("work.clearing", (1, 1, 1)),
    ],
}


def spec_of(home: Home, kind: str, number: int, dataset: str) -> Any:
    name = f"{kind}-{number}"
    if kind == "dataset":
        return saescope.AddDataset(name=name, source=str(home.root.parent / f"{dataset}.jsonl"))
    return train(name, dataset, cache="float32") if kind == "train" else extract(name, dataset)


def carried_on(home: Home, kind: str) -> Counter[str]:
    """Three runs, each killed at every point of its kind; how often at which."""
    killed: Counter[str] = Counter()
    for number, dataset in enumerate(TEXTS):
        id = queue(home, spec_of(home, kind, number, dataset))
        for point, times in KILLS[kind]:
            leave_in = "extracting" if point.startswith("release") else ""
            code = work(home, id, fault=f"{point}:{times[number]}", leave_in=leave_in, tensors=kind != "dataset")
            assert code == -signal.SIGKILL, f"{point} was not reached {times[number]} times in run {number}"
            killed[point] += 1
            never_poison(home)
        if not over(home, id):
            assert work(home, id, tensors=kind != "dataset") == 0
        assert over(home, id)
    return killed


def removed(home: Home) -> int:
    """One thing of each kind is removed by a process that is killed on the way; how often."""
    things = [f"{kind}-{number}" for number, kind in enumerate(KILLS)]
    environment = {**os.environ, "SAESCOPE_FAULT": "removing.unlisted"}
    for kind, name in zip(("dataset", "sae", "extraction"), things, strict=True):
        said = f"import saescope; saescope.open({str(home.root)!r}).remove({kind!r}, {name!r})"
        assert subprocess.run([sys.executable, "-c", said], env=environment).returncode == -signal.SIGKILL
    return len(things)


def over(home: Home, id: str) -> bool:
    with Studio(home) as studio:
        job = jobs.job(studio.db, id)
        assert job.error is None
        return job.state == "succeeded"


def never_poison(home: Home) -> None:
    """Three kills without progress would end a job, as they should: here they are many on purpose."""
    with Studio(home) as studio, studio.db.writing() as connection:
        connection.execute(schema.jobs.update().values(stalls=0))


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, dict[str, Home], Counter[str]]:
    """A home of undisturbed runs; for each kind of job one of killed runs; and the kills."""
    folder = tmp_path_factory.mktemp("points")
    first = prepared(folder, TEXTS)
    shutil.rmtree(first.artifacts / "tokens")
    killed = {kind: Home(shutil.copytree(first.root, folder / kind)) for kind in KILLS}
    specs = [spec_of(first, kind, number, text) for kind in KILLS for number, text in enumerate(TEXTS)]
    with ThreadPoolExecutor(2) as pool:
        counts = [pool.submit(carried_on, killed[kind], kind) for kind in ("train", "extract", "dataset")]
        assert pool.submit(work, first, *(queue(first, spec) for spec in specs)).result() == 0
        total = sum((count.result() for count in counts), Counter())
    killed["removed"] = Home(shutil.copytree(first.root, folder / "removed"))
    total["removing.unlisted"] = removed(killed["removed"])
    return first, killed, total


@pytest.mark.parametrize("number", range(len(TEXTS)))
@pytest.mark.parametrize("kind", KILLS)
def test_a_run_killed_at_every_point_equals_one_that_was_not(homes, kind: str, number: int) -> None:
    undisturbed, killed, _ = homes
    assert same(result(undisturbed, f"{kind}-{number}"), result(killed[kind], f"{kind}-{number}"))


@pytest.mark.parametrize(
    ("kind", "listed", "before"),
    [("dataset", "datasets", [*TEXTS]), ("train", "saes", ["first"]), ("extract", "extractions", [])],
)
def test_nothing_is_made_twice_and_nothing_is_left_over(homes, kind: str, listed: str, before: list[str]) -> None:
    _, killed, _ = homes
    with Studio(killed[kind]) as studio:
        names = [record.name for record in getattr(studio, listed)()]
        assert names == before + [f"{kind}-{number}" for number in range(len(TEXTS))]
        assert all([made["name"] for made in job.made] == [job.name] for job in studio.jobs())
    assert orphans(killed[kind]) == []


def test_what_was_not_wholly_removed_goes_when_the_next_job_begins(homes) -> None:
    home = homes[1]["removed"]
    assert len(orphans(home)) == 6
    assert work(home, queue(home, spec_of(home, "dataset", 9, "text-1")), tensors=False) == 0
    assert orphans(home) == []


def test_every_point_was_exercised_three_times(homes) -> None:
    assert {point: homes[2][point] for point in faults.POINTS if homes[2][point] < 3} == {}


def test_the_points_in_the_code_are_those_that_are_listed() -> None:
    source = Path(faults.__file__).parent
    found = Counter(
        node.args[0].value
        for path in source.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "faults.point"
    )
    assert found == Counter(faults.POINTS)
