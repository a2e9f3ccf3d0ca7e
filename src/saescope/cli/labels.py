"""`saescope labels` and `saescope prompts`: histories, files of labels, and what an LLM is asked."""

from pathlib import Path
from typing import Annotated

import typer

from .common import State, command, group

app = group("labels", "Labels by hand and in bulk: history, add, choose, import, export.")
prompts = group("prompts", "What an LLM is asked: list, show, copy.")

Extraction = Annotated[str, typer.Argument(help="The extraction's name.", show_default=False)]
Index = Annotated[int, typer.Argument(help="The feature's index.", show_default=False)]


@command(app, "add")
def add(
    state: State,
    extraction: Extraction,
    index: Index,
    text: Annotated[str, typer.Argument(help="The label.", show_default=False)],
) -> None:
    """Label a feature by hand; earlier labels are kept."""
    from .show.labels import history

    state.answer(state.look(lambda: state.studio.add_label(extraction, index, text)), history)


@command(app, "choose")
def choose(
    state: State,
    extraction: Extraction,
    index: Index,
    label: Annotated[
        int | None, typer.Argument(help="The label's id; without it, the rule decides again.", show_default=False)
    ] = None,
) -> None:
    """Show one label of a feature's history."""
    from .show.labels import history

    state.answer(state.look(lambda: state.studio.choose_label(extraction, index, label)), history)


@command(app, "import")
def import_(
    state: State,
    extraction: Extraction,
    file: Annotated[Path, typer.Argument(help="A .jsonl, .jsonl.gz or .csv file.", show_default=False)],
) -> None:
    """Add the labels of a file: ours, or Neuronpedia's explanations."""
    from .show.labels import imported

    state.answer(state.look(lambda: state.studio.import_labels(extraction, file)), imported)


@command(app, "export")
def export(
    state: State,
    extraction: Extraction,
    file: Annotated[Path, typer.Argument(help="A .jsonl, .jsonl.gz or .csv file to write.", show_default=False)],
    format: Annotated[str, typer.Option("--format", help="auto, jsonl, csv or neuronpedia.")] = "auto",
) -> None:
    """Write every label with its scores to a file."""
    from .show.labels import exported

    state.answer(state.look(lambda: state.studio.export_labels(extraction, file, format)), exported)


@command(prompts, "list")
def list_prompts(state: State) -> None:
    """The prompts of the package."""
    from ..labeling import prompts as library
    from .show.labels import prompt_list

    found = [{"name": prompt.name, "version": prompt.version} for prompt in library.list_prompts()]
    state.answer({"prompts": found}, prompt_list)


@command(prompts, "show")
def show_prompt(state: State, name: Annotated[str, typer.Argument(help="Its name.", show_default=False)]) -> None:
    """A prompt as it stands."""
    from ..labeling import prompts as library
    from .show.labels import prompt

    found = library.load_prompt(name, name if name in library.NEEDS else "explain")
    state.answer({"name": found.name, "version": found.version, "text": found.text}, prompt)


@command(prompts, "copy")
def copy(
    state: State,
    name: Annotated[str, typer.Argument(help="Its name.", show_default=False)],
    file: Annotated[Path, typer.Argument(help="A .md file to write.", show_default=False)],
) -> None:
    """Copy a prompt to a file, to change it there."""
    from ..labeling import prompts as library
    from .show.labels import copied

    found = library.copy_prompt(name, file)
    state.answer({"name": found.name, "version": found.version, "file": str(file)}, copied)
