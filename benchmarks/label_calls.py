"""Labels by an LLM against a server that goes wrong on purpose: calls, budget, ledger, a kill in the middle.

    python benchmarks/label_calls.py [--features 2000] [--out FILE]

Makes a home of planted features, labels it once from a server that never fails (the clean number of calls), then from
one that answers 30 % of requests with 429, 10 % with 500, lets 5 % hang, resets 5 %, answers 10 % with garbage, drips
1 % and cuts 2 %. That run is killed with SIGKILL in the middle and given again. Then the same with a budget. Prints one
JSON document, and exits 1 where anything does not hold.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import saescope  # noqa: E402
from saescope.llm.budget import Budget  # noqa: E402
from saescope.store import catalogue  # noqa: E402
from saescope.store.labels import every_label, label_errors  # noqa: E402
from saescope.store.llm_calls import ledger  # noqa: E402
from saescope.studio import Studio  # noqa: E402
from support import llm_server  # noqa: E402
from support.planted_home import NAME, live, planted_home, word  # noqa: E402

CONCURRENCY, TIMEOUT = 32, 2.0
RUN = """
import sys, saescope
spec = saescope.LabelFeatures(extraction=sys.argv[2], explainer="llm", llm_url=sys.argv[3], llm_model="scripted",
                              concurrency=int(sys.argv[4]), timeout=float(sys.argv[5]))
saescope.open(sys.argv[1]).run(spec)
"""


@contextmanager
def server(faults: dict[str, float], seed: int = 0) -> Iterator[str]:
    """A server in a process of its own; its address."""
    words = [sys.executable, llm_server.__file__, str(seed), json.dumps(faults)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def counts(url: str) -> dict[str, int]:
    """What a server says that it did; `total` requests, `billed` of them answered whole."""
    with urllib.request.urlopen(url.removesuffix("/v1") + "/counts") as answer:
        said = json.load(answer)
    fates = {name: value for name, value in said.items() if name not in ("tokens_in", "tokens_out", "peak")}
    billed = sum(said.get(each, 0) for each in ("answered", "garbage", "drip"))
    return said | {"total": sum(fates.values()), "billed": billed}


def request(url: str, **more: Any) -> saescope.LabelFeatures:
    fields = {"llm_url": url, "llm_model": "scripted", "concurrency": CONCURRENCY, "timeout": TIMEOUT} | more
    return saescope.LabelFeatures(extraction=NAME, explainer="llm", **fields)


def labels(studio: Studio) -> list[tuple[int, str, str]]:
    extraction = catalogue.extraction(studio.db, NAME)
    return [(each.feature, each.text, each.created) for each in every_label(studio.db, extraction.id)]


def clean(folder: Path, features: int) -> dict[str, Any]:
    """A server that never fails."""
    home = planted_home(folder, features)
    with server({}) as url, saescope.open(home.root) as studio:
        guess = studio.run(request(url, estimate=True))
        document = studio.run(request(url))
        said = counts(url)
        extraction = catalogue.extraction(studio.db, NAME)
        scores = [score for label in every_label(studio.db, extraction.id) for score in label.scores.values()]
    return {
        "seconds": round(document["seconds"], 1),
        "labelled": document["labelled"],
        "calls": document["llm"]["calls"],
        "estimated_calls": guess["calls"],
        "calls_per_feature": document["llm"]["calls"] / document["labelled"],
        "tokens_in": said["tokens_in"],
        "estimated_tokens_in": guess["tokens_in"],
        "peak_at_once": said["peak"],
        "snippets_per_score": float(np.mean([score.n for score in scores])),
        "width_of_intervals": float(np.mean([score.high - score.low for score in scores if score.value is not None])),
    }


def faulty(folder: Path, features: int, clean_calls: int) -> dict[str, Any]:
    """A server that goes wrong, and a kill when about half is labelled."""
    home, alive = planted_home(folder, features), len(live(features))
    with server(llm_server.FAULTS, seed=1) as url, saescope.open(home.root) as studio:
        began = time.perf_counter()
        words = [sys.executable, "-c", RUN, str(home.root), NAME, url, str(CONCURRENCY), str(TIMEOUT)]
        process = subprocess.Popen(words, env=os.environ | {"PYTHONPATH": str(ROOT / "src")})
        while len(labels(studio)) < alive // 2 and process.poll() is None:
            time.sleep(0.2)
        process.send_signal(signal.SIGKILL)
        process.wait()
        time.sleep(TIMEOUT)
        before, at_kill = labels(studio), counts(url)
        document = studio.run(request(url))
        said, after = counts(url), labels(studio)
        extraction = catalogue.extraction(studio.db, NAME)
        errors = {error.feature for error in label_errors(studio.db, extraction.id)}
        labelled = {feature for feature, _, _ in after}
        [lines] = ledger(studio.db)
    states = lines["states"]
    sent, read = states.get("sent", 0), states["answered"] + states["unreadable"]
    late = states["timeout"] - said["hang"]  # calls that did not hang, and were given up all the same
    held = {
        "every feature ends in a label or a counted error": labelled | errors == set(live(features)),
        "no label lost or doubled by the kill": set(before) <= set(after) and len(after) == len(labelled),
        "labels are right": all(text == f"the word {word(feature)}" for feature, text, _ in after),
        "calls answered <= 1.3 x clean": said["billed"] <= 1.3 * clean_calls,
        "ledger: every answer": read <= said["billed"] <= read + sent + late,
        "ledger: every refusal": all(
            states[name] <= said[name] <= states[name] + sent for name in ("limited", "server")
        ),
        "ledger: every request": sum(states.values()) - sent - late <= said["total"] <= sum(states.values()),
        "under way at the kill <= concurrency": sent <= CONCURRENCY,
    }
    return {
        "seconds": round(time.perf_counter() - began, 1),
        "labelled": len(labelled),
        "failed": len(errors - labelled),
        "labelled_at_kill": len(before),
        "cached_after_kill": document["llm"]["cached"],
        "server": said,
        "server_at_kill": at_kill,
        "ledger": lines,
        "late": late,
        "answered_over_clean": said["billed"] / clean_calls,
        "requests_over_clean": said["total"] / clean_calls,
        "holds": held,
    }


def budgeted(folder: Path, features: int, budgets: tuple[str, ...]) -> dict[str, Any]:
    """Budgets in calls, tokens and money, with faults: what was left of each."""
    home, found, held = planted_home(folder, features), {}, {}
    with server(llm_server.FAULTS, seed=2) as url, saescope.open(home.root) as studio:
        studio.add_llm("priced", url, "scripted", price_in=0.5, price_out=1.5)
        for place, text in enumerate(budgets):
            before = counts(url)
            fields = {"llm": "priced", "llm_url": None, "llm_model": None, "seed": place, "budget": text}
            document = studio.run(request(url, **fields))
            after = counts(url)
            billed = {name: after[name] - before[name] for name in ("billed", "tokens_in", "tokens_out")}
            budget = Budget.parse(text)
            money = (0.5 * billed["tokens_in"] + 1.5 * billed["tokens_out"]) * 1000
            tokens = billed["tokens_in"] + billed["tokens_out"]
            real = {"calls": billed["billed"], "tokens": tokens, "money": money}[budget.unit]
            found[text] = {"labelled": document["labelled"], "left": document["left"], "used": real / budget.amount}
            held[f"never over {text}"] = real <= budget.amount and document["left"] > 0
    return {"budgets": found, "holds": held}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", type=int, default=2000, help="live features")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    features = arguments.features * 7 // 6 + 1
    while len(live(features)) > arguments.features:
        features -= 1
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        first = clean(root / "clean", features)
        second = faulty(root / "faulty", features, first["calls"])
        third = budgeted(root / "budget", features, ("300 calls", "600k tokens", "0.40"))
    document = {"features": arguments.features, "clean": first, "faulty": second, "budgeted": third}
    held = {"calls per feature <= 6": first["calls_per_feature"] <= 6} | second["holds"] | third["holds"]
    text = json.dumps(document | {"holds": all(held.values())}, indent=2)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n")
    return 0 if all(held.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
