"""The password: tried by people, by a flood, and by hand-made requests."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from fastapi import FastAPI

from saescope.home import Home
from saescope.web.app import create_app
from saescope.web.login import Password, Tries
from support.served import TOKEN
from support.walk import ask

FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
def app(home: Home) -> Iterator[FastAPI]:
    made = create_app(home, TOKEN, password="the right one")
    yield made
    made.state.site.close()


def test_the_password_lets_a_browser_in(app: FastAPI) -> None:
    answer = ask(app, "POST", "/api/login", FORM, body=b"password=the+right+one")
    assert answer.status == 303
    cookie = (answer.header("set-cookie") or "").split(";")[0]
    assert ask(app, "GET", "/api/saes", {"cookie": cookie}).status == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"password=wrong", 401),
        (b"", 401),
        (b"password=", 401),
        (b"password=%ff%fe%00", 401),
        (b"password=%ed%a0%80", 401),
        (b"password=" + b"x" * 5000, 413),
        (b"{}", 401),
    ],
)
def test_nothing_else_does(app: FastAPI, body: bytes, status: int) -> None:
    assert ask(app, "POST", "/api/login", FORM, body=body).status == status


def test_an_address_has_one_try_at_a_time_and_a_flood_keeps_nobody_else_out() -> None:
    password = Password("the right one")
    at_once, most, lock = 0, 0, threading.Lock()
    right = password.right

    def counted(text: str) -> bool:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        found = right(text)
        with lock:
            at_once -= 1
        return found

    password.right = counted  # type: ignore[method-assign]
    answers: dict[str, list[Any]] = {"flood": [], "person": []}

    async def all_of_them() -> None:
        tries = Tries(password)

        async def one(who: str, address: str, text: str) -> None:
            answers[who].append(await tries.right(address, text))

        async with anyio.create_task_group() as group:
            for number in range(200):
                group.start_soon(one, "flood", "10.0.0.1", f"guess {number}")
            for number in range(8):
                group.start_soon(one, "flood", f"10.0.1.{number}", f"guess {number}")
            group.start_soon(one, "person", "10.0.0.2", "the right one")

    began = time.monotonic()
    anyio.run(all_of_them)
    assert answers["person"] == [True]
    assert answers["flood"].count(False) == 9
    assert answers["flood"].count(None) == 199
    assert most == 1
    assert time.monotonic() - began > 1


def test_too_many_addresses_are_told_to_wait(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("saescope.web.login._WAITING", 0)
    answer = ask(app, "POST", "/api/login", FORM, body=b"password=the+right+one")
    assert answer.status == 429
    assert answer.header("retry-after") == "1"
