"""What each verb says to a person: the words, the order, the width."""

import re

import pytest

COMMANDS = """
demo
doctor
dataset list
dataset show sotu
dataset sample sotu
dataset add a b.txt
model list
model show m
model add m s
sae list
sae show s
sae add s f --model m --hookpoint embed
sae export s folder
train --model M --dataset D --hookpoint embed
extract --sae S --dataset D
extract --sae S --dataset D --estimate
features list
features list X
features show X 512
features show X 512 --stratum all
features fire X --text hello
features export X f.csv
label X
steer --sae S --prompt p --edit 512:add:2
""".strip().splitlines()


@pytest.mark.parametrize("columns", ["80", "120"])
@pytest.mark.parametrize("command", COMMANDS)
def test_every_answer_fits_its_terminal_and_holds_no_escape(saescope, monkeypatch, command, columns):
    monkeypatch.setenv("COLUMNS", columns)
    code, out, err = saescope(*command.split())
    assert (code, err) == (0, "")
    assert out.strip()
    assert "\x1b" not in out
    suggestion = "  saescope "  # to be copied, so never broken
    assert all(len(line) <= int(columns) for line in out.splitlines() if not line.startswith(suggestion))


def test_features_stand_in_the_order_index_label_density_max_clarity(saescope):
    head, first, unlabelled, long, dead, *_ = saescope("features", "list", "X")[1].splitlines()
    assert head.split() == ["index", "label", "density", "max", "clarity"]
    assert first.split() == ["0", "peaks", "on", "“Soviet”", "0.42", "%", "12.3", "0.93"]
    assert "no label yet" in unlabelled
    assert "…" in long
    assert dead.split() == ["3", "dead", "0", "%", "–", "–"]


def test_a_feature_shows_its_figures_examples_writes_and_neighbours(saescope):
    out = saescope("features", "show", "X", "512")[1]
    assert out.startswith("512  peaks on “Soviet”\n")
    for part in (
        "density ",
        "max 12.35",
        "writes most   ‘ Union’ +1.23",
        "nearest features",
        "peaks on “communist”",
    ):
        assert part in out
    columns = {line.index("«") for line in out.splitlines() if "«" in line}
    assert len(columns) == 1
    assert re.search(r"activations  0\.0312 [▁▂▃▄▅▆▇█]+ 12\.3 ", out)


def test_other_strata_are_shown_when_asked_for(saescope):
    out = saescope("features", "show", "X", "512", "--stratum", "none", "--stratum", "q2")[1]
    assert "samples where it is silent" in out
    assert "second quarter" in out
    assert "strongest examples" not in out


def test_texts_stand_side_by_side_only_where_there_is_room(saescope, monkeypatch):
    command = ("steer", "--sae", "S", "--prompt", "p", "--edit", "512:add:2")
    narrow = saescope(*command)[1]
    monkeypatch.setenv("COLUMNS", "120")
    wide = saescope(*command)[1]
    assert not re.search("original.*steered", narrow)
    assert re.search("original.*steered", wide)
    assert "512  add 2 × max  peaks on “Soviet”" in wide


def test_an_extraction_ends_with_its_phases_probe_and_what_to_type_next(saescope):
    out = saescope("extract", "--sae", "S", "--dataset", "D")[1]
    assert re.search(r"read model +60\.0 +79 %", out)
    assert "1,682 tokens/s" in out
    assert "FVU 0.082" in out
    assert "saescope label topk-l8-sotu" in out


def test_a_finished_extraction_says_how_far_off_its_estimate_was(saescope):
    assert re.search(
        r"estimate +1 min 10 s; the run took 8 % longer", saescope("extract", "--sae", "S", "--dataset", "D")[1]
    )


def test_an_estimate_says_time_memory_and_disk_here_and_on_gpus(saescope):
    out = saescope("extract", "--sae", "S", "--dataset", "D", "--estimate")[1]
    assert re.search(r"time +1 min 12 s", out)
    assert re.search(r"peak memory +2.00 GiB; 20.00 GiB are free", out)
    assert re.search(r"disk +40 MiB; 60.00 GiB are free", out)
    assert "nothing was extracted" in out
    assert "arithmetic" in out
    assert re.search(r"RTX 3090 +9.5 s +30.00 GiB +24.00 GiB +no", out)
    assert re.search(r"H100 SXM +9.5 s +30.00 GiB +80.00 GiB +yes", out)


def test_the_demo_reports_stages_quality_features_and_steering(saescope):
    out = saescope("demo")[1]
    for part in (
        "4 min 40 s",
        "1,900",
        "FVU 0.082",
        "L0",
        "dead",
        "recovered",
        "peaks on “Soviet”",
        "«Soviet»",
        "steered",
        "next",
    ):
        assert part in out
    assert out.count("«Soviet»") == 6
