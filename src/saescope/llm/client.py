"""One call to an OpenAI-compatible server, and what went wrong with it, told apart by what has to be done.

The key goes in one header to the endpoint's own origin. Redirects are not followed. What a server says is looked
through for the key before anybody else sees it.
"""

import asyncio
import email.utils
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

import httpx

from ..errors import BadSource, StudioError, Unreachable, WrongRequest
from ..records import Endpoint
from ..version import VERSION
from .endpoints import is_loopback

LARGEST = 4 << 20
"""Bytes of an answer."""
_LONGEST_SAID = 300
_NO_MONEY = {
    "insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_balance", "quota_exhausted",
}  # fmt: skip
"""What servers call a spent account in an answer of 429, where a wait will not help."""

Kind = Literal["limited", "server", "timeout", "reset", "cut", "refused", "bad", "changed", "fatal"]


class Question(NamedTuple):
    """What is asked: two texts, and the form of the answer as a JSON schema."""

    system: str
    user: str
    schema: str
    """JSON; the empty text where any will do."""
    max_tokens: int
    echo: tuple[tuple[str, str], ...] = ()
    """Instead of the two texts: (what is read before, what is judged), whose log-probabilities are asked for."""


class Reply(NamedTuple):
    """What was answered."""

    text: str
    tokens_in: int | None
    """As the server counts them; None where it does not."""
    tokens_out: int | None
    whole: bool
    """It ended by itself, and not because it was too long."""


class Failure(Exception):
    """A call without an answer."""

    def __init__(
        self, kind: Kind, reason: str, status: int | None = None, wait: float | None = None, error: Any = None
    ) -> None:
        super().__init__(reason)
        self.kind, self.reason, self.status, self.wait = kind, reason, status, wait
        self.error: StudioError | None = error
        """For a fatal one: what a person has to do."""

    @property
    def surely_free(self) -> bool:
        """The server said that it did not answer; after a hang or a cut nobody knows."""
        return self.kind not in ("timeout", "reset", "cut")


@dataclass
class _Dialect:
    """What this server takes of the protocol, found out by asking."""

    version: int = 0
    limit: str = "max_tokens"
    temperature: bool = True
    formats: tuple[str, ...] = ("json_schema", "json_object", "")

    def learn(self, said: str) -> bool:
        """Leave out what a server does not take; whether there was something to leave out."""
        if self.limit == "max_tokens" and "max_completion_tokens" in said:
            self.limit = "max_completion_tokens"
        elif self.temperature and "temperature" in said:
            self.temperature = False
        elif len(self.formats) > 1 and any(
            word in said for word in ("response_format", "json_", "schema", "nexpected")
        ):
            self.formats = self.formats[1:]
        else:
            return False
        self.version += 1
        return True


class Client:
    """A server and a key. Belongs to one event loop."""

    def __init__(self, endpoint: Endpoint, key: str | None, seconds: float = 120.0) -> None:
        self.endpoint, self._key, self.seconds = endpoint, key, seconds
        self._dialect = _Dialect()
        headers = {"User-Agent": f"saescope/{VERSION}", "Accept": "application/json"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        direct = is_loopback(endpoint.url) or urlsplit(endpoint.url).scheme == "http"
        self._http = httpx.AsyncClient(
            headers=headers,
            follow_redirects=False,
            trust_env=not direct,  # a proxy of the environment sees nothing that is not encrypted
            timeout=httpx.Timeout(seconds, connect=min(10.0, seconds)),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def ask(self, question: Question) -> Reply:
        """Ask, and read the answer. Raises Failure."""
        return await (self._likelihoods(question.echo) if question.echo else self._chat(question))

    async def _chat(self, question: Question) -> Reply:
        version = self._dialect.version
        document = await self._post("chat/completions", self._body(question), version)
        return self._read(document)

    async def models(self) -> list[str]:
        """The models that the server says it has. Raises Failure."""
        listed = (await self._send("GET", "models", None)).get("data")
        rows = listed if isinstance(listed, list) else []
        return [self.clean(str(row["id"]))[:200] for row in rows if isinstance(row, dict) and "id" in row]

    async def _likelihoods(self, pairs: tuple[tuple[str, str], ...]) -> Reply:
        """By /completions with echo: a JSON list, the sum over the tokens of each second text."""
        body = {
            "model": self.endpoint.model,
            "prompt": [before + text for before, text in pairs],
            "max_tokens": 1,
            "echo": True,
            "logprobs": 1,
            "temperature": 0,
        }
        document = await self._send("POST", "completions", body)
        try:
            sums = []
            for choice in sorted(document["choices"], key=lambda choice: choice["index"]):
                before, text = pairs[choice["index"]]
                said = choice["logprobs"]
                places = zip(said["text_offset"], said["token_logprobs"], strict=True)
                judged = range(len(before), len(before + text))
                sums.append(sum(float(value) for at, value in places if at in judged and value is not None))
        except (KeyError, TypeError, ValueError, IndexError):
            raise self._no_likelihoods() from None
        if len(sums) != len(pairs):
            raise self._no_likelihoods()
        return Reply(json.dumps(sums), *self._usage(document), True)

    def clean(self, text: str) -> str:
        """Text of a server's without the key, should the server repeat it."""
        return text.replace(self._key, "***") if self._key else text

    def _body(self, question: Question) -> dict[str, Any]:
        dialect = self._dialect
        body: dict[str, Any] = {
            "model": self.endpoint.model,
            "messages": [
                {"role": "system", "content": question.system},
                {"role": "user", "content": question.user},
            ],
            dialect.limit: question.max_tokens,
            "stream": False,
        }
        if dialect.temperature:
            body["temperature"] = 0
        if dialect.formats[0] == "json_schema" and question.schema:
            schema = {"name": "answer", "strict": True, "schema": json.loads(question.schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif dialect.formats[0] and question.schema:
            body["response_format"] = {"type": "json_object"}
        return body

    async def _post(self, path: str, body: dict[str, Any], version: int) -> dict[str, Any]:
        try:
            return await self._send("POST", path, body)
        except Failure as failure:
            if failure.kind == "bad" and (self._dialect.version != version or self._dialect.learn(failure.reason)):
                raise Failure("changed", failure.reason, failure.status) from None
            raise

    async def _send(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        """One request; at most `seconds` from beginning to end, however slowly the answer drips."""
        url = f"{self.endpoint.url}/{path}"
        try:
            async with (
                asyncio.timeout(self.seconds),
                self._http.stream(method, url, json=body) as response,
            ):
                if response.status_code != 200:
                    said = await self._said(response)
                    raise self._refusal(response, said)
                content = await _content(response.aiter_bytes())
        except (TimeoutError, httpx.PoolTimeout, httpx.ReadTimeout, httpx.WriteTimeout):
            raise Failure("timeout", f"no answer within {self.seconds:g} s") from None
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            raise Failure("refused", f"no connection: {self.clean(str(error))[:_LONGEST_SAID]}") from None
        except (httpx.RemoteProtocolError, httpx.DecodingError) as error:
            raise Failure("cut", f"the answer broke off: {self.clean(str(error))[:_LONGEST_SAID]}") from None
        except httpx.HTTPError as error:
            raise Failure("reset", f"the connection was lost: {type(error).__name__}") from None
        try:
            document = json.loads(content)
        except (ValueError, RecursionError):
            raise Failure("cut", "the answer is no JSON", 200) from None
        if not isinstance(document, dict):
            raise Failure("cut", "the answer is no JSON object", 200)
        return document

    async def _said(self, response: httpx.Response) -> dict[str, str]:
        """The code and the message of an error, as most servers give them."""
        try:
            text = (await _content(response.aiter_bytes(), 1 << 16)).decode("utf-8", "replace")
        except (httpx.HTTPError, Failure):
            text = ""
        try:
            value = json.loads(text)
            error = value.get("error", value) if isinstance(value, dict) else {}
        except (ValueError, RecursionError):
            error = {}
        if not isinstance(error, dict):
            error = {"message": error}
        message = " ".join(str(error.get("message") or error.get("detail") or text).split())
        codes = f"{error.get('code')} {error.get('type')}"
        return {"message": self.clean(message)[:_LONGEST_SAID], "codes": self.clean(codes)[:_LONGEST_SAID]}

    def _refusal(self, response: httpx.Response, said: dict[str, str]) -> Failure:
        status, name = response.status_code, self.endpoint.name
        message = said["message"] or response.reason_phrase
        about = f"{name} answers {status}: {message}"
        if 300 <= status < 400:
            hint = "redirects are not followed, since a key would go with them: add the address it leads to"
            return Failure("fatal", about, status, error=BadSource(f"{name} redirects elsewhere", hint))
        if status in (401, 403):
            return Failure("fatal", about, status, error=WrongRequest(about, f"check the key of {name}"))
        if status == 402 or (status == 429 and _NO_MONEY.intersection(said["codes"].split())):
            hint = "the account has nothing left: what was labelled is kept, and the same command goes on from there"
            return Failure("fatal", about, status, error=WrongRequest(about, hint))
        if status == 404:
            hint = f"check the address {self.endpoint.url} and the model {self.endpoint.model!r}"
            return Failure("fatal", about, status, error=BadSource(about, hint))
        if status in (429, 503, 529):
            return Failure("limited", about, status, retry_after(response.headers))
        if status >= 500 or status in (408, 409, 425):
            return Failure("server", about, status, retry_after(response.headers))
        return Failure("bad", about, status)

    def _read(self, document: dict[str, Any]) -> Reply:
        try:
            choice = document["choices"][0]
            text = choice["message"]["content"]
        except (KeyError, IndexError, TypeError):
            raise Failure("cut", "the answer holds no message", 200) from None
        whole = choice.get("finish_reason") != "length"
        return Reply(self.clean(text) if isinstance(text, str) else "", *self._usage(document), whole)

    @staticmethod
    def _usage(document: dict[str, Any]) -> tuple[int | None, int | None]:
        usage = document.get("usage")
        counts = [
            usage.get(name) if isinstance(usage, dict) else None for name in ("prompt_tokens", "completion_tokens")
        ]
        sound = [each if isinstance(each, int) and 0 <= each < 2**40 else None for each in counts]
        return sound[0], sound[1]

    def _no_likelihoods(self) -> Failure:
        hint = "leave surprisal out of --score"
        error = BadSource(f"{self.endpoint.name} gives no log-probabilities of what it is asked", hint)
        return Failure("fatal", error.message, 200, error=error)


async def _content(pieces: AsyncIterator[bytes], largest: int = LARGEST) -> bytes:
    content = bytearray()
    async for piece in pieces:
        content += piece
        if len(content) > largest:
            raise Failure("cut", f"the answer is larger than {largest:,} bytes", 200)
    return bytes(content)


def retry_after(headers: httpx.Headers) -> float | None:
    """Seconds to wait, of Retry-After (seconds or a date) or retry-after-ms; None where neither can be read."""
    for name, factor in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * factor
        except (KeyError, ValueError):
            continue
        if 0 <= seconds < 1e9:
            return seconds
    try:
        date = email.utils.parsedate_to_datetime(headers.get("retry-after", ""))
        return max(0.0, date.timestamp() - time.time())
    except (ValueError, TypeError):
        return None


def unreachable(endpoint: Endpoint, reason: str) -> Unreachable:
    """A server that gives nothing but failures."""
    return Unreachable(
        f"{endpoint.name} ({endpoint.url}) does not answer: {reason}",
        "check that it runs; what was labelled is kept, and the same command goes on from there",
    )
