"""Keys of LLM servers: in a file of the home, in the system's keyring, or in the environment.

    home/keys/ID.key    0600, in a folder that is 0700: {"origin"} and one of {"key"}, {"variable"}, {"keyring"}

Each is bound to the origin (scheme, host, port) that it was given for, and the binding stands here and not in the
catalogue: an address that was changed there gets no key.
"""

import contextlib
import json
import os
import secrets
import stat
from pathlib import Path
from typing import Any, Literal

from ..errors import BadValue, BrokenHome, WrongRequest
from ..home import Home
from ..records import Endpoint
from .endpoints import keeps_secrets, origin

Place = Literal["none", "file", "keyring", "environment"]
LONGEST = 8192
_SERVICE = "saescope"


def keep_key(home: Home, endpoint: Endpoint, place: Place, secret: str) -> None:
    """Keep a key (file, keyring) or the name of the variable that holds it (environment), bound to the endpoint."""
    if place == "none":
        return
    if not keeps_secrets(endpoint.url):
        raise BadValue(f"url: {origin(endpoint.url)} is not encrypted", "use https where a key is sent")
    held: dict[str, Any] = {"origin": origin(endpoint.url)}
    if place == "environment":
        held["variable"] = secret
    else:
        key = checked_key(secret)
        if place == "keyring":
            _keyring().set_password(_SERVICE, endpoint.id, key)
            held["keyring"] = True
        else:
            held["key"] = key
    _write(_file(home, endpoint), json.dumps(held))


def read_key(home: Home, endpoint: Endpoint) -> str | None:
    """The key of an endpoint, for the server it was given for and no other; None where it has none.

    Raises WrongRequest where the key is not there, or belongs to another server.
    """
    if endpoint.key == "none":
        return None
    again = f"saescope llm remove {endpoint.name}, then add it again"
    try:
        held = json.loads(_read(_file(home, endpoint)))
    except FileNotFoundError:
        raise WrongRequest(f"the key of {endpoint.name!r} is not in this home", again) from None
    except (OSError, ValueError):
        raise BrokenHome(f"the key file of {endpoint.name!r} cannot be read", again) from None
    if held.get("origin") != origin(endpoint.url):
        raise WrongRequest(
            f"the key of {endpoint.name!r} was given for {held.get('origin')}, not for {origin(endpoint.url)}", again
        )
    if "variable" in held:
        found = home.variable(held["variable"])
        if not found:
            raise WrongRequest(f"the variable {held['variable']} is not set", f"it holds the key of {endpoint.name!r}")
        return checked_key(found)
    found = _keyring().get_password(_SERVICE, endpoint.id) if held.get("keyring") else held.get("key")
    if not found:
        raise WrongRequest(f"the keyring has no key of {endpoint.name!r}", again)
    return checked_key(found)


def forget_key(home: Home, endpoint: Endpoint) -> None:
    """Remove the key."""
    if endpoint.key == "keyring":
        with contextlib.suppress(Exception):  # gone already, or no keyring any more
            _keyring().delete_password(_SERVICE, endpoint.id)
    _file(home, endpoint).unlink(missing_ok=True)


def checked_key(text: str) -> str:
    """A key that can stand in a header; BadValue otherwise. The message never holds it."""
    key = text.strip()
    if not 1 <= len(key) <= LONGEST or not key.isascii() or not key.isprintable() or " " in key:
        raise BadValue("key: this is none", "a key is one line of letters, digits and signs")
    return key


def _keyring() -> Any:
    try:
        import keyring
    except ImportError:
        raise BadValue(
            "no keyring is installed", "pip install 'saescope[keyring]', or keep the key in a file"
        ) from None
    return keyring


def _file(home: Home, endpoint: Endpoint) -> Path:
    return home.keys / f"{endpoint.id}.key"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.parent.chmod(0o700)
    draft = path.with_name(f".{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _read(path: Path) -> str:
    """The file's text, where nobody else could have read or written it."""
    with open(path, encoding="utf-8") as file:
        about = os.fstat(file.fileno())
        if os.name == "posix" and stat.S_IMODE(about.st_mode) & 0o077:
            raise WrongRequest(f"others can read the key file {path.name}", f"chmod 600 {path}, and change the key")
        return file.read(2 * LONGEST)
