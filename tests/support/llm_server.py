"""A loopback server that speaks OpenAI's chat protocol, answers by a script, and goes wrong on purpose.

    with llm_server(faults=FAULTS) as server:
        client = … server.url …
        server.counts["answered"]

It counts what it did with every request, so that a ledger can be held against it. Run as a program it serves until
its input ends: `python llm_server.py SEED FAULTS_AS_JSON` prints its address, and `GET /counts` gives its counts.
"""

import asyncio
import contextlib
import json
import random
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

FAULTS = {"limited": 0.30, "server": 0.10, "hang": 0.05, "reset": 0.05, "garbage": 0.10, "drip": 0.01, "cut": 0.02}
"""Shares of requests; the rest is answered well."""

GARBAGE: tuple[Callable[[str], str], ...] = (
    lambda answer: f"Sure! Here you are:\n```json\n{answer}\n```\nAnything else?",
    lambda answer: f"<think>{{hm}}</think>{answer}",
    lambda answer: answer[: len(answer) // 2],
    lambda answer: "I am sorry, but as a language model I cannot do this.",
    lambda answer: "",
    lambda answer: '{"answers": [1]}',
    lambda answer: "{" * 5000,
    lambda answer: '{"label": ["' + "x" * 50 + '"]}',
    lambda answer: answer.replace(":", "="),
    lambda answer: '{"answers": "yes", "label": null}',
)
"""The first two can be mended."""


def scripted(system: str, user: str) -> str:
    """A label is the word marked most often; a judge looks whether the label's word is there, or is marked."""
    count = re.search(r"JSON only, (\d+) numbers", user)
    if count is None:
        marked = Counter(re.findall(r"«\s*(\w+)\s*»", user))
        return json.dumps({"label": f"the word {marked.most_common(1)[0][0] if marked else 'nothing'}"})
    if "numbers from 1 to 4" in user:
        return json.dumps({"answers": [_odd(user, group) for group in range(1, int(count[1]) + 1)]})
    word = re.search(r"the word (\w+)", user)
    sought = word[1] if word else "nothing"
    if "tokens that stand between |" in system:
        lines = re.findall(r"^\d+\. \(\d+\) (.*)$", user, re.MULTILINE)
        return json.dumps({"answers": [10 * (token == sought) for line in lines for token in line.split(" | ")]})
    lines = re.findall(r"^\d+\. (.*)$", user, re.MULTILINE)[-int(count[1]) :]
    pattern = f"«{sought}»" if "tokens stand between" in system else rf"\b{sought}\b"
    return json.dumps({"answers": [int(re.search(pattern, line, re.IGNORECASE) is not None) for line in lines]})


def _odd(user: str, group: int) -> int:
    """Which of a group's snippets lacks the word that most of them have."""
    snippets = re.findall(rf"^group {group}, snippet \d: (.*)$", user, re.MULTILINE)
    words = Counter(word for snippet in snippets for word in set(re.findall(r"zq\w+", snippet)))
    common = words.most_common(1)[0][0] if words else ""
    return next((at for at, snippet in enumerate(snippets, 1) if common not in snippet), 1)


class LlmServer:
    """The server, and all that it remembers."""

    def __init__(
        self,
        faults: Mapping[str, float] = {},
        answer: Callable[[str, str], str] = scripted,
        seed: int = 0,
        wait: str = "20",
        always: tuple[int, dict[str, Any]] | None = None,
        refuses: tuple[str, ...] = (),
        delay: float = 0.0,
    ) -> None:
        """wait: retry-after-ms of a 429. always: status and error of every answer. refuses: fields of a request that
        are answered with 400. delay: seconds before each answer.
        """
        self.faults, self.answer, self.wait, self.always, self.delay = dict(faults), answer, wait, always, delay
        self.refuses = refuses
        self.counts: Counter[str] = Counter()
        """Requests by what became of them."""
        self.tokens_in = self.tokens_out = 0
        """Billed, of answers that were sent whole."""
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.under_way = self.peak = 0
        self.times: list[float] = []
        self.url = ""
        self._random = random.Random(seed)

    @property
    def billed(self) -> int:
        return self.counts["answered"] + self.counts["garbage"] + self.counts["drip"]

    async def serve(self) -> asyncio.Server:
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        return server

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort() if writer.transport.is_closing() else writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request of a connection, and whether another may come."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.under_way += 1
        self.peak = max(self.peak, self.under_way)
        try:
            return await self._answer(first.split(" ")[1], headers, body, writer, reader)
        finally:
            self.under_way -= 1

    async def _answer(
        self,
        path: str,
        headers: dict[str, str],
        body: bytes,
        writer: asyncio.StreamWriter,
        reader: asyncio.StreamReader,
    ) -> bool:
        if path == "/counts":
            counts = dict(self.counts) | {"tokens_in": self.tokens_in, "tokens_out": self.tokens_out, "peak": self.peak}
            return await self._send(writer, 200, counts)
        self.headers.append(headers)
        self.times.append(asyncio.get_running_loop().time())
        if path.endswith("/models"):
            return await self._send(writer, 200, {"data": [{"id": "scripted"}]})
        asked = json.loads(body)
        if path.endswith("/completions") and "prompt" in asked:
            return await self._echo(asked, writer)
        self.bodies.append(asked)
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.always is not None:
            self.counts["refused"] += 1
            more = {"Location": "http://127.0.0.1:1/elsewhere"} if 300 <= self.always[0] < 400 else {}
            return await self._send(writer, self.always[0], {"error": self.always[1]}, more)
        for field in self.refuses:
            if field in asked and json.dumps(asked[field]).find("json_object") < 0:
                self.counts["refused"] += 1
                instead = ", use max_completion_tokens instead" if field == "max_tokens" else ""
                return await self._send(writer, 400, {"error": {"message": f"unsupported: {field}{instead}"}})
        return await self._fate(self._drawn(), asked, writer, reader)

    async def _echo(self, asked: dict[str, Any], writer: asyncio.StreamWriter) -> bool:
        """Log-probabilities of what was asked: a word is likely where it stood before."""
        choices = []
        for index, text in enumerate(asked["prompt"]):
            found = [(each.start(), each[0]) for each in re.finditer(r"\s*\S+", text)]
            known = [text[:at].count(token.strip()) > 0 for at, token in found]
            values = [None, *(-1.0 if each else -9.0 for each in known[1:])]
            logprobs = {"text_offset": [at for at, _ in found], "token_logprobs": values}
            choices.append({"index": index, "text": text, "logprobs": logprobs})
        self.counts["answered"] += 1
        tokens = sum(len(choice["logprobs"]["text_offset"]) for choice in choices)
        self.tokens_in += tokens
        self.tokens_out += len(choices)
        usage = {"prompt_tokens": tokens, "completion_tokens": len(choices)}
        return await self._send(writer, 200, {"choices": choices, "usage": usage})

    def _drawn(self) -> str:
        draw = self._random.random()
        for name, share in self.faults.items():
            draw -= share
            if draw < 0:
                return name
        return "answered"

    async def _fate(
        self, fate: str, asked: dict[str, Any], writer: asyncio.StreamWriter, reader: asyncio.StreamReader
    ) -> bool:
        self.counts[fate] += 1
        if fate == "limited":
            return await self._send(writer, 429, {"error": {"message": "slow down"}}, {"retry-after-ms": self.wait})
        if fate == "server":
            return await self._send(writer, 500, {"error": {"message": "oops"}})
        if fate == "hang":
            await reader.read(1)  # until whoever asked has gone
            return False
        if fate == "reset":
            writer.transport.abort()
            return False
        texts = [message["content"] for message in asked["messages"]]
        text = self.answer(*texts)
        if fate == "garbage":
            text = self._random.choice(GARBAGE)(text)
        limit = asked.get("max_tokens", asked.get("max_completion_tokens", 100))
        tokens_in, tokens_out = len(" ".join(texts).encode()) // 4 + 10, min(limit, len(text) // 4 + 1)
        document = {
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": tokens_in, "completion_tokens": tokens_out},
        }
        if fate == "cut":
            data = json.dumps(document).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data[: len(data) // 2])
            await writer.drain()
            return False
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out
        return await self._send(writer, 200, document, drip=fate == "drip")

    async def _send(
        self,
        writer: asyncio.StreamWriter,
        status: int,
        document: Any,
        more: Mapping[str, str] = {},
        drip: bool = False,
    ) -> bool:
        data = json.dumps(document).encode()
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(data)}", *(f"{k}: {v}" for k, v in more.items())]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode()
        pieces = (
            [head, data[:20], *([data[at : at + 40] for at in range(20, len(data), 40)])] if drip else [head + data]
        )
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            if drip:
                await asyncio.sleep(0.01)
        return True


@contextlib.contextmanager
def llm_server(**how: Any) -> Iterator[LlmServer]:
    """Serve in a thread for the time of a block."""
    server, loop = LlmServer(**how), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    listening = asyncio.run_coroutine_threadsafe(server.serve(), loop).result()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(_end(listening), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(listening: asyncio.Server) -> None:
    listening.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def _program(seed: int, faults: dict[str, float]) -> None:
    server = LlmServer(faults, seed=seed)
    await server.serve()
    sys.stdout.write(server.url + "\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_program(int(sys.argv[1]), json.loads(sys.argv[2])))
