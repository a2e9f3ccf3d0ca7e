"""`saescope llm`: servers that write and judge labels."""

import sys
from typing import Annotated

import typer

from ..errors import BadValue
from .common import State, command, group

app = group("llm", "LLM servers that speak OpenAI's protocol: add, list, test, remove.")

Name = Annotated[str, typer.Argument(help="The endpoint's name.", show_default=False)]


@command(app, "add")
def add(
    state: State,
    name: Name,
    url: Annotated[
        str, typer.Option("--url", help="Its address, such as https://api.openai.com/v1.", show_default=False)
    ],
    model: Annotated[str, typer.Option("--model", help="The model to ask there.", show_default=False)],
    key: Annotated[
        bool, typer.Option("--key", help="Ask for a key: typed unseen, or the first line of standard input.")
    ] = False,
    key_env: Annotated[
        str | None,
        typer.Option("--key-env", metavar="NAME", help="The variable that holds the key.", show_default=False),
    ] = None,
    keyring: Annotated[
        bool, typer.Option("--keyring", help="Keep the key in the system's keyring, not in a file of the home.")
    ] = False,
    price_in: Annotated[
        float | None, typer.Option("--price-in", help="Money for a million tokens asked.", show_default=False)
    ] = None,
    price_out: Annotated[
        float | None, typer.Option("--price-out", help="Money for a million tokens answered.", show_default=False)
    ] = None,
) -> None:
    """Add an LLM server; its key is sent to that server and to no other."""
    from .show.llm import added

    if key_env is not None and (key or keyring):
        raise BadValue("--key-env and --key", "a key is in the environment or is asked for, not both")
    secret = _ask_key() if key or keyring else None
    found = state.studio.add_llm(
        name, url, model, key=secret, key_env=key_env, keyring=keyring, price_in=price_in, price_out=price_out
    )
    state.answer(found.to_json(), added)


@command(app, "list")
def list_(state: State) -> None:
    """Every LLM server of the home."""
    from .show.llm import listed

    state.answer({"endpoints": [each.to_json() for each in state.studio.llm_endpoints()]}, listed)


@command(app, "test")
def test(state: State, name: Name) -> None:
    """Ask one short question: whether it answers, in JSON, and how fast."""
    from .show.llm import tested

    state.answer(state.watch(lambda progress, notify: state.studio.test_llm(name)), tested)


@command(app, "remove")
def remove(state: State, name: Name) -> None:
    """Remove an LLM server and its key."""
    from .show.llm import removed

    state.answer(state.studio.remove_llm(name).to_json(), removed)


def _ask_key() -> str:
    """A key, never an argument: those stand in the list of processes."""
    if not sys.stdin.isatty():
        return sys.stdin.readline(10_000)
    from getpass import getpass

    return getpass("key: ", sys.stderr)
