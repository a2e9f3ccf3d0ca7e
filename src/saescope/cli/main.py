"""The command `saescope`: the tree of commands and the way every run ends."""

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Annotated

import typer
from typer.core import TyperGroup

from ..version import VERSION
from . import (
    bench,
    cache,
    datasets,
    demo,
    doctor,
    extract,
    features,
    jobs,
    label,
    labels,
    llm,
    models,
    saes,
    serve,
    steer,
    train,
)
from .common import HELP, DebugOption, HomeOption, JsonOption, ReaderLeft, State, print_json
from .failures import fail


class InOrder(TyperGroup):
    """The commands in the order of the work."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        return sorted(super().list_commands(ctx), key=ORDER.index)


app = typer.Typer(
    name="saescope",
    cls=InOrder,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings=HELP,
)


def _version(asked: bool) -> None:
    if asked:
        if "--json" in sys.argv[1:]:
            print_json({"version": VERSION})
        else:
            sys.stdout.write(f"saescope {VERSION}\n")
        raise typer.Exit


@app.callback()
def saescope(
    context: typer.Context,
    home: HomeOption = None,
    json_: JsonOption = False,
    debug: DebugOption = False,
    version: Annotated[
        bool,
        typer.Option("--version", metavar="", help="Print the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """See inside a language model: train sparse autoencoders on its activations, collect what makes each
    feature fire, label it, and steer with it. Start with `saescope demo`."""
    context.ensure_object(State).take(home, json_, debug)


ORDER = [
    "demo",
    "doctor",
    "dataset",
    "model",
    "sae",
    "train",
    "cache",
    "extract",
    "features",
    "label",
    "labels",
    "prompts",
    "llm",
    "steer",
    "jobs",
    "serve",
    "bench",
]
START, BRING, WORK, RUN, MEASURE = "Start here", "Bring in", "Work", "Run", "Measure"
demo.add(app, START)
doctor.add(app, START)
app.add_typer(datasets.app, rich_help_panel=BRING)
app.add_typer(models.app, rich_help_panel=BRING)
app.add_typer(saes.app, rich_help_panel=BRING)
train.add(app, WORK)
app.add_typer(cache.app, rich_help_panel=WORK)
extract.add(app, WORK)
app.add_typer(features.app, rich_help_panel=WORK)
label.add(app, WORK)
app.add_typer(labels.app, rich_help_panel=WORK)
app.add_typer(labels.prompts, rich_help_panel=WORK)
app.add_typer(llm.app, rich_help_panel=WORK)
steer.add(app, WORK)
app.add_typer(jobs.app, rich_help_panel=RUN)
serve.add(app, RUN)
app.add_typer(bench.app, rich_help_panel=MEASURE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # what a terminal cannot show gets a sign in its place
            stream.reconfigure(errors="backslashreplace")
    # Known before parsing, so that a request which cannot be parsed is answered in the form it asked for.
    state = State(json="--json" in given, debug="--debug" in given)
    try:
        return app(given or ["--help"], prog_name="saescope", standalone_mode=False, obj=state) or 0
    except ReaderLeft:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            return 2  # a group alone: its help has been printed
        return fail(error, state)
    finally:
        state.close()
