"""Progress: plain lines without a terminal, bars in one."""

import contextlib
import io

from rich.console import Console

from saescope.cli.progress import Reporter
from saescope.records import Progress


def report(*records: Progress, terminal: bool = False, error: type[Exception] | None = None) -> str:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=80, markup=False, highlight=False)
    with contextlib.suppress(ValueError), Reporter(console) as reporter:
        for each in records:
            reporter(each)
            if reporter.bars:
                reporter.bars.refresh()
        if error:
            raise error
        reporter.note("text field guessed: 'text'")
    return stream.getvalue()


def test_a_phase_is_a_line_at_its_start_and_one_at_its_end():
    lines = report(*(Progress("tokenize", done, 30, "documents") for done in (0, 10, 20, 30, 30))).splitlines()
    assert lines[0] == "tokenize …"
    assert lines[1].startswith("✓ tokenize")
    assert "30 documents" in lines[1]
    assert lines[2:] == ["note: text field guessed: 'text'"]


def test_a_new_phase_ends_the_one_before():
    lines = report(Progress("read", 5, None, "documents"), Progress("write", 1, 1, "bytes")).splitlines()
    assert [line.split()[:2] for line in lines[:4]] == [
        ["read", "…"],
        ["✓", "read"],
        ["write", "…"],
        ["✓", "write"],
    ]


def test_phases_that_take_turns_leave_one_line_each():
    turns = [
        Progress(*turn, None if turn[0] == "read" else 100, "tokens")
        for step in range(0, 100, 9)
        for turn in (("train", step), ("read", step))
    ]
    lines = report(*turns, Progress("measure", 1, 1, "samples")).splitlines()
    assert sum(line.startswith("✓ train") for line in lines) == 1
    assert sum(line.startswith("✓ read") for line in lines) == 1
    assert [line.split()[1] for line in lines if line.startswith("✓")] == ["train", "read", "measure"]


def test_a_phase_that_starts_over_is_a_phase_of_its_own():
    lines = report(*(Progress("read", done, 9, "samples") for done in (3, 6, 1, 9))).splitlines()
    assert sum(line == "read …" for line in lines) == 2


def test_a_phase_cut_short_by_an_error_is_not_called_whole():
    lines = report(Progress("train", 5, 10, "tokens"), error=ValueError).splitlines()
    assert lines[1].startswith("✕ train")


def test_a_terminal_shows_bars_and_data_cannot_steer_it():
    shown = report(Progress("tr\x1b]0;x\x07ain", 1_900, 455_000, "tokens"), terminal=True)
    assert "\x1b]0;" not in shown
    assert "1.9k/455k" in shown


def test_progress_goes_to_stderr_and_json_keeps_stdout_to_itself(saescope, studio):
    studio.progress = [Progress("label", done, 10, "features") for done in (0, 10)]
    studio.notes = ["one feature was passed over"]
    _, out, err = saescope("label", "X", "--json")
    assert out.startswith("{")
    assert "✓ label" in err
    assert "note: one feature" in err
