"""How far a command has come, on stderr: bars where there is a terminal, plain lines where there is none."""

import time
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.progress import Progress as Bars
from rich.text import Text

from .show.words import clean, compact, duration

WORTH_A_LINE = 0.5
"""Seconds below which a finished phase leaves no line behind in a terminal."""


@dataclass
class _Phase:
    name: str
    unit: str
    done: float = 0.0
    step: float = 0.0
    total: float | None = None
    task: Any = None
    began: float = field(default_factory=time.monotonic)

    @property
    def at_its_end(self) -> bool:
        """No total to wait for, or no room left for another step like the last."""
        return self.total is None or self.done + self.step > self.total


class Reporter:
    """Takes `Progress` records, shows each phase in its one unit with rate and time left.

    Phases may take turns, as reading and training do. A phase ends when it reaches its total, when it starts
    over, or when another begins and it has nothing left to do.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bars: Bars | None = None
        self.open: dict[str, _Phase] = {}
        self.lines = 0
        """Lines left behind: the answer then stands apart from them."""
        self.ended: dict[str, float] = {}
        if console.is_terminal:
            columns: list[ProgressColumn | str] = [
                SpinnerColumn(style="dim"),
                TextColumn("{task.description}", markup=False),
                BarColumn(
                    bar_width=None,
                    style="bright_black",
                    complete_style="yellow",
                    finished_style="yellow",
                    pulse_style="yellow",
                ),
                _Count(),
                _Left(),
            ]
            if console.width >= 110:
                columns.append(TextColumn("{task.fields[note]}", style="dim", markup=False))
            self.bars = Bars(*columns, console=console, transient=True, expand=True)
            self.waiting = self.bars.add_task("starting", total=None, note="", unit="")

    def __enter__(self) -> "Reporter":
        if self.bars:
            self.bars.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        for phase in list(self.open.values()):
            self._end(phase, whole=kind is None)
        if self.bars:
            self.bars.stop()
            if self.lines:
                self.console.print()

    def __call__(self, progress: Any) -> None:
        """Take one record."""
        name = clean(progress.phase)
        if name not in self.open and self.ended.get(name) == progress.done:
            return  # the last record of a phase, said twice
        if name in self.open and progress.done < self.open[name].done:
            self._end(self.open[name])
        if name not in self.open:
            for other in [each for each in self.open.values() if each.at_its_end]:
                self._end(other)
            self._begin(name, progress)
        phase = self.open[name]
        phase.step, phase.done, phase.total = progress.done - phase.done, progress.done, progress.total
        if self.bars:
            self.bars.update(phase.task, completed=phase.done, total=phase.total, note=clean(progress.note))
        if phase.total is not None and phase.done >= phase.total:
            self._end(phase)

    def note(self, message: str) -> None:
        """Say something that is neither an error nor progress."""
        self._print(Text.assemble(("note: ", "dim"), clean(" ".join(message.split()))))

    def _begin(self, name: str, progress: Any) -> None:
        phase = self.open[name] = _Phase(name, clean(progress.unit), progress.done)
        if self.bars:
            self.bars.update(self.waiting, visible=False)
            phase.task = self.bars.add_task(name, total=progress.total, note="", unit=phase.unit)
        else:
            self._print(Text(f"{name} …"))

    def _end(self, phase: _Phase, whole: bool = True) -> None:
        del self.open[phase.name]
        self.ended[phase.name] = phase.done
        seconds = time.monotonic() - phase.began
        if self.bars:
            self.bars.remove_task(phase.task)
            if not self.open:
                self.bars.reset(self.waiting, description="working", visible=True)
        if self.bars is None or seconds >= WORTH_A_LINE or not whole:
            counted = phase.done > 1
            amount = f"{phase.done:,.0f} {phase.unit}" if counted else ""
            rate = f"{phase.done / seconds:,.0f}/s" if counted and seconds >= 0.1 else ""
            line = Text.assemble(("✓ ", "green") if whole else ("✕ ", "yellow"), f"{phase.name:<22} ")
            facts = (amount, duration(seconds), rate)
            self._print(line.append("  ".join(fact for fact in facts if fact), style="dim"))

    def _print(self, line: Text) -> None:
        self.lines += 1
        (self.bars.console if self.bars else self.console).print(line, soft_wrap=True)


class _Count(ProgressColumn):
    """123k/455k tokens  1.9k/s"""

    def render(self, task: Task) -> Text:
        if not task.completed and task.total is None:
            return Text("")
        done = compact(task.completed)
        total = "" if task.total is None else f"/{compact(task.total)}"
        speed = task.finished_speed or task.speed
        rate = f"  {compact(speed)}/s" if speed else ""
        return Text(f"{done}{total} {task.fields.get('unit', '')}{rate}", style="dim", no_wrap=True)


class _Left(ProgressColumn):
    """2:34 left, or the time since the start where no total is known"""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        if task.total is None or task.time_remaining is None:
            return Text(_clock(task.elapsed or 0.0), style="dim", no_wrap=True)
        return Text(f"{_clock(task.time_remaining)} left", no_wrap=True)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
