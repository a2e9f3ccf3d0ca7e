"""Addresses of OpenAI-compatible servers: checked, and what of them a key is bound to. Loads no HTTP client."""

import ipaddress
import re
from urllib.parse import urlsplit

from ..errors import BadValue

_HINT = "give an address such as https://api.openai.com/v1 or http://localhost:11434/v1"


def checked_url(text: str) -> str:
    """The base address of a server, as it is kept: https://HOST[:PORT]/PATH; /v1 where no path is given.

    Raises BadValue where it is no such address, or has a password, a question mark or a fragment in it.
    """
    try:
        parts = urlsplit(text.strip())
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        raise BadValue("url: this is no address", _HINT) from None
    if parts.username is not None or parts.password is not None:
        raise BadValue("url: no user or password stands in it", "give the key by itself: see `saescope llm add --help`")
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not re.fullmatch(r"[A-Za-z0-9.:_-]+", host):
        raise BadValue("url: this is no address of a server", _HINT)
    if parts.query or parts.fragment or not re.fullmatch(r"[A-Za-z0-9._~/%:@+-]*", parts.path):
        raise BadValue("url: its path is none of a server's", _HINT)
    path = parts.path.rstrip("/").removesuffix("/chat/completions") or "/v1"
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{path}"


def origin(url: str) -> str:
    """Scheme, host and port of an address: what a key is bound to."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}"


def is_loopback(url: str) -> bool:
    """Whether the server is this machine."""
    host = urlsplit(url).hostname or ""
    return host == "localhost" or _address(host, "is_loopback")


def keeps_secrets(url: str) -> bool:
    """Whether a key may travel there: encrypted, or not leaving this machine or its private network."""
    parts = urlsplit(url)
    return parts.scheme == "https" or is_loopback(url) or _address(parts.hostname or "", "is_private")


def _address(host: str, quality: str) -> bool:
    try:
        return bool(getattr(ipaddress.ip_address(host), quality))
    except ValueError:
        return False
