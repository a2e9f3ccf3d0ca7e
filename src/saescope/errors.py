"""What can go wrong, drawn once.

    StudioError
    ├── WrongRequest        the request is wrong: one line, exit 2
    │   ├── NotFound        no such dataset, model, SAE, extraction, feature
    │   ├── NameTaken       a name already used
    │   ├── BadSource       a file, folder or hub repository that cannot be read as what it is said to be
    │   ├── Mismatch        two things that do not fit each other (widths, tokenizers, lengths)
    │   ├── BadValue        a number, name or expression outside what is allowed
    │   ├── Unreachable     a hub or server that cannot be reached
    │   ├── NoSpace         the disk is full
    │   │   └── NoMemory    the memory is
    │   └── Interrupted     stopped by the user; what is whole is kept
    └── BrokenHome          the home itself is damaged or too new: exit 1

Every error is one line for a person (`message`: what is wrong, with the values that disagree) and one more
(`hint`: what to do). Nothing else ever reaches a user's terminal.
"""


class StudioError(Exception):
    """An error that a person can act on."""

    kind = "error"
    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message

    def to_json(self) -> dict[str, dict[str, str]]:
        """The one shape that commands and the API answer with."""
        return {"error": {"kind": self.kind, "message": self.message, "hint": self.hint}}


class WrongRequest(StudioError):
    """The request is wrong; nothing was changed."""

    kind = "wrong_request"
    exit_code = 2


class NotFound(WrongRequest):
    """There is no dataset, model, SAE, extraction or feature of that name."""

    kind = "not_found"


class NameTaken(WrongRequest):
    """Something of that kind already has that name."""

    kind = "name_taken"


class BadSource(WrongRequest):
    """A file, folder or hub repository that is not there, or not what it was said to be."""

    kind = "bad_source"


class Mismatch(WrongRequest):
    """Two things that do not fit each other; the message holds both values."""

    kind = "mismatch"


class BadValue(WrongRequest):
    """A number, name or expression outside what is allowed."""

    kind = "bad_value"


class Unreachable(WrongRequest):
    """A hub or server that cannot be reached from here."""

    kind = "unreachable"


class NoSpace(WrongRequest):
    """The disk is full; of NoMemory, the memory."""

    kind = "no_space"


class NoMemory(NoSpace):
    """The memory is full: waiting makes no room."""


class Interrupted(WrongRequest):
    """Stopped by the user; what was whole is kept."""

    kind = "interrupted"
    exit_code = 130


class BrokenHome(StudioError):
    """The home is damaged, or was written by a newer saescope."""

    kind = "broken_home"
