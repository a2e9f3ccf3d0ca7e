"""saescope's extraction beside SAEDashboard's and delphi's: the same model, SAE, tokens and machine.

    python benchmarks/peers/extraction.py [--samples 256] [--features 512] [--kind topk] [--rounds 2] [--out FILE]

The tools run in turns, each in its own process and environment (made on the first run, a few minutes). Ours does all
features. The others' cost grows with the number of features, and all of them would take hours: they are measured on
`--features` and the rest is worked out, fixed part + seconds for each feature x d_sae. Loading of models is left out,
for all. In the end the answers are compared (agree.py), and the exit status says whether they agree.

What each does is not quite the same. Ours keeps 100 strongest, 40 sampled and 20 silent examples, statistics, the
tokens a feature writes and its neighbours. SAEDashboard keeps 20 strongest tokens and 25 others in whole samples,
histograms, and correlations within a batch of features. delphi keeps every window of 32 tokens and 50 silent ones.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from environments import TOOLS, python_of
from setting import Setting

HERE = Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=256, help="a multiple of 32, delphi's batch")
    parser.add_argument("--features", type=int, default=512, help="measured for the others")
    parser.add_argument("--kind", choices=("topk", "jumprelu"), default="topk", help="delphi reads topk alone")
    parser.add_argument("--d-sae", type=int, default=16_384)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--work", type=Path, default=HERE / "work")
    parser.add_argument("--out", type=Path, help="write the figures as JSON, too")
    arguments = parser.parse_args()
    if arguments.samples % 32 or arguments.features < 2 or arguments.rounds < 1:
        parser.error("--samples must be a multiple of 32, --features 2 or more, --rounds 1 or more")
    pythons = {name: python_of(name) for name, tool in TOOLS.items() if arguments.kind in tool.kinds}
    sizes = ("samples", "features", "kind", "d_sae")
    flags = [word for name in sizes for word in (f"--{name.replace('_', '-')}", str(getattr(arguments, name)))]
    call(sys.executable, "prepare.py", arguments.work, *flags)
    rounds = take_turns(arguments.work, pythons, arguments.rounds)
    agreed = subprocess.run([sys.executable, HERE / "agree.py", arguments.work, *pythons]).returncode == 0
    report = summary(Setting.read(arguments.work), rounds) | {"agree": agreed}
    print(table(report))
    if arguments.out:
        arguments.out.write_text(json.dumps(report, indent=1) + "\n")
    raise SystemExit(0 if agreed else 1)


def call(python: str | Path, script: str, work: Path, *flags: str) -> None:
    """Run one of the scripts; its messages are shown only when it fails."""
    offline = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "WANDB_MODE": "disabled"}
    done = subprocess.run(
        [python, HERE / script, work, *flags], capture_output=True, text=True, env={**os.environ, **offline}
    )
    if done.returncode:
        raise SystemExit(f"{script} failed\n{done.stdout[-2000:]}{done.stderr[-4000:]}")


def take_turns(work: Path, pythons: Mapping[str, Path], rounds: int) -> list[dict[str, Any]]:
    """What every tool took in every round; the order is reversed from round to round."""
    for old in work.glob("found-*.npz"):
        old.unlink()
    call(sys.executable, "ours.py", work, "--warm")
    tools = ["saescope", *pythons]
    found = []
    for number in range(rounds):
        times = {}
        for tool in tools if number % 2 == 0 else reversed(tools):
            if tool == "saescope":
                call(sys.executable, "ours.py", work)
            else:
                call(pythons[tool], TOOLS[tool].script, work, *(["--found"] if number == 0 else []))
            times[tool] = json.loads((work / f"times-{tool}.json").read_text())
            print(f"round {number + 1}, {tool}: {times[tool]['seconds_all_features']:,.1f} s", file=sys.stderr)
        found.append(times)
    return found


def summary(setting: Setting, rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the rounds; ratios are taken round by round first."""
    tools = {}
    for tool in rounds[0]:
        each = [times[tool] for times in rounds]
        ratios = [times[tool]["seconds_all_features"] / times["saescope"]["seconds_all_features"] for times in rounds]
        numbers = {key: statistics.median(t[key] for t in each) for key, v in each[0].items() if isinstance(v, float)}
        memory = max(t["peak_memory_bytes"] for t in each)
        tools[tool] = {**each[0], **numbers, "peak_memory_bytes": memory, "times_ours": statistics.median(ratios)}
    return {
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
        },
        "setting": {
            "model": setting.model,
            "hookpoint": setting.hookpoint,
            "kind": setting.kind,
            "d_sae": setting.d_sae,
            "samples": setting.samples,
            "context": setting.context,
        },
        "tools": tools,
        "rounds": rounds,
    }


def table(report: dict[str, Any]) -> str:
    """The figures for a person."""
    setting = report["setting"]
    lines = [
        f"{setting['model']}, {setting['hookpoint']}, {setting['kind']} of {setting['d_sae']:,} features, "
        f"{setting['samples']} samples of {setting['context']} tokens; medians of {len(report['rounds'])} rounds",
        "",
        f"{'':22}{'samples/s':>10}{'tokens/s':>10}{'seconds':>10}{'ours is':>9}{'memory':>9}  how",
    ]
    for tool, times in report["tools"].items():
        speed = f"{times['samples_per_second']:>10.2f}{times['tokens_per_second']:>10,.0f}"
        cost = f"{times['seconds_all_features']:>10,.1f}{times['times_ours']:>8.1f}x"
        memory = f"{times['peak_memory_bytes'] / 2**30:>5.2f} GiB"
        lines.append(f"{tool + ' ' + times['version']:22}{speed}{cost}{memory}  {how(times, setting['d_sae'])}")
    lines += ["", f"answers agree: {'yes' if report['agree'] else 'NO'}"]
    return "\n".join(lines)


def how(times: dict[str, Any], d_sae: int) -> str:
    """Where the seconds come from."""
    measured = times["features_measured"]
    if measured == d_sae:
        return "measured on all features"
    each = 1000 * times["seconds_per_feature"]
    return f"{times['fixed_seconds']:.1f} s + {each:.1f} ms a feature, measured on {measured:,}"


if __name__ == "__main__":
    main()
