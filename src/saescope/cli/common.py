"""What every command shares: the options accepted anywhere, the studio, and the one answer."""

import functools
import inspect
import json
import math
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args

import typer
from typer.models import ArgumentInfo, ParameterInfo

from ..errors import BadValue, Interrupted

if TYPE_CHECKING:
    from rich.console import Console

    from ..specs import Spec

S = TypeVar("S", bound="Spec")

HELP = {"help_option_names": ["-h", "--help"]}

HomeOption = Annotated[
    str | None,
    typer.Option("--home", metavar="DIR", help="The studio's folder, instead of SAESCOPE_HOME.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of an unexpected error.")]
_EVERYWHERE = {"home": HomeOption, "json_": JsonOption, "debug": DebugOption}


@dataclass
class State:
    """One run of the command line."""

    home: str | None = None
    json: bool = False
    debug: bool = False
    terminated: bool = False
    """SIGTERM has asked us to end: not an error."""

    def take(self, home: str | None, json_: bool, debug: bool) -> None:
        """Options given before or after the verb count alike; the last --home wins."""
        self.home = home or self.home
        self.json = self.json or json_
        self.debug = self.debug or debug

    @cached_property
    def out(self) -> "Console":
        return _console(sys.stdout)

    @cached_property
    def err(self) -> "Console":
        return _console(sys.stderr)

    @cached_property
    def studio(self) -> Any:
        from ..studio import open_studio

        return open_studio(self.home)

    @property
    def prefix(self) -> str:
        """How the commands suggested at the end begin, so that they work when copied."""
        return f"saescope --home {shlex.quote(self.home)}" if self.home else "saescope"

    def run(self, spec: "Spec", *, stoppable: bool = False, **options: Any) -> dict[str, Any]:
        """Let the studio do one spec, with progress on stderr.

        stoppable: the verb looks at `Context.stop`, so Ctrl-C and SIGTERM let it finish what makes it whole.
        """
        return self.watch(
            lambda progress, notify: self.studio.run(spec, progress=progress, notify=notify, **options), stoppable
        )

    def watch(self, work: Callable[[Any, Any], dict[str, Any]], stoppable: bool = False) -> dict[str, Any]:
        """Do `work(progress, notify)` and show how far it has come."""
        from .progress import Reporter
        from .signals import asking

        def stop() -> bool:
            if stoppable and (context := self.studio.loaded) is not None:
                context.stop.set()
                self.err.print("stopping where it is whole; again to stop at once", style="yellow")
                return True
            return False

        def terminated() -> None:
            self.terminated = True

        with asking(stop, terminated), Reporter(self.err) as reporter:
            return work(reporter, reporter.note)

    def look(self, question: Callable[[], dict[str, Any]], tokenizes: bool = False) -> dict[str, Any]:
        """Ask the studio something for which it may have to load a model, or tokenize a dataset first."""

        def work(progress: Any, notify: Any) -> dict[str, Any]:
            if not tokenizes:
                return question()
            with self.studio.context.reporting(progress, notify):
                return question()

        return self.watch(work)

    def close(self) -> None:
        """Let go of the home, if it was opened."""
        if "studio" in self.__dict__:
            self.studio.close()

    def answer(self, document: Mapping[str, Any], show: Callable[..., None], **options: Any) -> None:
        """Print the document: as JSON, or as `show(document, console, prefix)` writes it for a person."""
        if self.json:
            print_json(document)
        else:
            show(document, self.out, prefix=self.prefix, **options)


def group(name: str, help: str) -> typer.Typer:
    """A group of commands, such as `saescope dataset`."""
    app = typer.Typer(name=name, help=help, no_args_is_help=True, context_settings=HELP)
    everywhere(app)
    return app


def everywhere(app: typer.Typer) -> None:
    """Let a group take --home, --json and --debug before its verb."""

    @app.callback()
    def options(
        context: typer.Context, home: HomeOption = None, json_: JsonOption = False, debug: DebugOption = False
    ) -> None:
        context.ensure_object(State).take(home, json_, debug)


def command(app: typer.Typer, name: str, **more: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add `function(state, …)` as a command that also takes --home, --json and --debug."""

    def add(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def run(parsed: typer.Context, home: str | None, json_: bool, debug: bool, **arguments: Any) -> None:
            state = parsed.ensure_object(State)
            state.take(home, json_, debug)
            try:
                function(state, **arguments)
            except KeyboardInterrupt:
                raise Interrupted("stopped", "what was whole is kept, and nothing half-made is left") from None
            except BrokenPipeError:
                raise ReaderLeft from None

        own = list(inspect.signature(function).parameters.values())[1:]
        first = inspect.Parameter("parsed", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        last = [
            inspect.Parameter(
                key, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=None if key == "home" else False
            )
            for key, kind in _EVERYWHERE.items()
        ]
        parameters = [first, *(each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own), *last]
        for each in parameters[1:]:
            _metavar(each)
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in parameters}
        app.command(name, context_settings=HELP, **more)(run)
        return function

    return add


def _metavar(parameter: inspect.Parameter) -> None:
    """How help names a value: N for a whole number, X for any number, nothing for a switch, else its name."""
    kind, *details = get_args(parameter.annotation)
    flag = details[0]
    if isinstance(flag, ParameterInfo) and flag.metavar is None:
        kinds = [part for each in get_args(kind) or (kind,) for part in get_args(each) or (each,)]
        choices = ["|".join(each) for each in kinds if isinstance(each, type) and issubclass(each, StrEnum)]
        names = {int: "N", float: "X", bool: "", str: parameter.name.upper().replace("_", "-")}
        flag.metavar = next(iter([*choices, *(names[each] for each in kinds if each in names)]), None)
        if isinstance(flag, ArgumentInfo):
            flag.metavar = parameter.name.upper()


class ReaderLeft(Exception):
    """Whoever read our output has gone, as `head` does: no error of anybody."""


def checked(spec: "type[S]", **fields: Any) -> "S":
    """A spec of what was typed; the spec itself says what is wrong with a word or a number."""
    return spec(**fields)


def valid_text(flag: str, text: str) -> str:
    """Text from the command line, which the shell may have handed over as bytes that are none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadValue(f"{flag}: these bytes are not text in UTF-8", "give the text in UTF-8") from None
    return text


def print_json(document: Mapping[str, Any]) -> None:
    """One JSON document on stdout; ASCII, so that no data can steer a terminal."""
    indent = 2 if sys.stdout.isatty() else None
    sys.stdout.write(json.dumps(plain(document), indent=indent, allow_nan=False) + "\n")
    sys.stdout.flush()


def plain(value: Any) -> Any:
    """What JSON can hold: numbers that are none become null; paths, arrays and records their plain form."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int, bool)):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, PurePath):
        return str(value)
    for method in ("to_json", "tolist"):
        if hasattr(value, method):
            return plain(getattr(value, method)())
    return str(value)


def _console(stream: Any) -> "Console":
    """A console that takes data for what it is: no markup, no emoji codes, no guessed highlighting."""
    import os

    from rich.console import Console

    width = None if stream.isatty() or os.environ.get("COLUMNS") else 120
    return Console(file=stream, markup=False, emoji=False, highlight=False, width=width)
