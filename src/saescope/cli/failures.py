"""How a command ends when it does not end well: one line, one exit code, never a raw traceback."""

import errno
import sys
import tempfile
import traceback

import typer

from ..errors import BadValue, Interrupted, NoMemory, NoSpace, StudioError, WrongRequest
from .common import State, print_json

UsageError: type[Exception] = typer.BadParameter.__bases__[0]
"""What the parser raises for an unknown option, a missing argument or a bad number."""


def fail(error: BaseException, state: State) -> int:
    """Report an error and give the exit code: 2 wrong request, 1 our fault, 130 stopped, 0 stopped by SIGTERM."""
    if isinstance(error, StudioError):
        code = report(error, state)
        return 0 if isinstance(error, Interrupted) and state.terminated else code
    if isinstance(error, UsageError):
        return report(usage(error), state)
    known = environment(error)
    if known is not None:
        return report(known, state)
    return report(Unexpected(error, state.debug), state)


class Unexpected(StudioError):
    """An error that nobody foresaw: ours, not the user's."""

    kind = "internal"

    def __init__(self, error: BaseException, debug: bool) -> None:
        what = " ".join(f"{type(error).__name__}: {error}".split())
        super().__init__(f"this is our fault, not yours: {what[:300]}", _keep_traceback(error, debug))


def usage(error: Exception) -> WrongRequest:
    """The parser's complaint, in our form."""
    message = str(getattr(error, "format_message", error.__str__)()).strip().rstrip(".")
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "saescope"
    return BadValue(message[:1].lower() + message[1:], f"see {path} --help")


def environment(error: BaseException) -> WrongRequest | None:
    """What the machine refuses, where a person can do something about it."""
    if isinstance(error, MemoryError):
        return NoMemory("the memory is full", "take fewer features, samples or a smaller batch")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return NoSpace(f"no space left{_where(error)}", "free some space, or give another folder with --home")
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return WrongRequest(f"not allowed{_where(error)}: {error.strerror}", "give a place that you may read and write")
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return BadValue("a path is longer than this machine allows", "check the path")
    return None


def _where(error: OSError) -> str:
    return f" at {str(error.filename)!r}" if error.filename else ""


def report(error: StudioError, state: State) -> int:
    """One line on stderr, or one JSON document on stdout."""
    if state.json:
        print_json(error.to_json())
    else:
        from rich.text import Text

        from .show.words import clean

        stopped = error.exit_code == 130
        line = Text("stopped" if stopped else "error", style="bold yellow" if stopped else "bold red").append(
            ": ", style="none"
        )
        message = clean(" ".join(error.message.split()))
        line = Text.assemble(line, Text(message)) if not (stopped and message == "stopped") else line[:-2]
        if error.hint:
            line = Text.assemble(line, " — ", clean(" ".join(error.hint.split())))
        state.err.print(line, soft_wrap=True)
    return error.exit_code


def _keep_traceback(error: BaseException, debug: bool) -> str:
    """Save the traceback, or show it when asked; the hint says which."""
    text = "".join(traceback.format_exception(error))
    if debug:
        sys.stderr.write(text)
        return "the traceback stands above"
    try:
        with tempfile.NamedTemporaryFile(
            "w",
            prefix="saescope-error-",
            suffix=".txt",
            delete=False,
            encoding="utf-8",
            errors="backslashreplace",
        ) as file:
            file.write(text)
    except OSError:
        return "run it again with --debug to see the traceback"
    return f"the traceback is in {file.name}; please report it"
