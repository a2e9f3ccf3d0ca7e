"""The sentence under each spec field, as the help of its flag, without loading pydantic.

Help must answer at once, and the specs' machinery takes longer to load than all the rest of the command line.
So the sentences and defaults are read from the text of specs.py.
"""

import ast
from functools import cache
from importlib.resources import files
from typing import Any

import typer

REQUIRED = ...


@cache
def sentences() -> dict[str, dict[str, tuple[str, Any]]]:
    """For each spec, for each field: its sentence, and its default or REQUIRED."""
    tree = ast.parse(files("saescope").joinpath("specs.py").read_text("utf-8"))
    return {
        node.name: {
            field.target.id: (text.value.value, _default(field.value))
            for field, text in zip(node.body, node.body[1:], strict=False)
            if isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
            and isinstance(text.value.value, str)
        }
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }


def _default(value: ast.expr | None) -> Any:
    if isinstance(value, ast.Call):  # Field(default=…, gt=0)
        value = next((item.value for item in value.keywords if item.arg == "default"), None)
    return REQUIRED if value is None else ast.literal_eval(value)


def option(spec: str, field: str, *flags: str, **more: Any) -> Any:
    """The flag of one spec field, helped by the sentence under it."""
    help, _ = sentences()[spec][field]
    return typer.Option(*(flags or ("--" + field.replace("_", "-"),)), help=help, **more)


def argument(spec: str, field: str, **more: Any) -> Any:
    """The positional argument of one spec field, helped by the sentence under it."""
    help, _ = sentences()[spec][field]
    return typer.Argument(help=help, **more)


def default(spec: str, field: str) -> Any:
    """What the spec takes when the flag is not given."""
    return sentences()[spec][field][1]
