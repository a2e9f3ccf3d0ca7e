"""Every route of the app, asked by those who must not be answered: hostile hosts, other sites, people without a key."""

import http.cookies
import json

import pytest
from fastapi import FastAPI

from saescope.home import Home
from saescope.store import open_database, schema
from saescope.web.app import create_app, openapi
from support.served import TOKEN
from support.walk import (
    CROSS_SITE,
    HOSTILE_HOSTS,
    SAFE,
    across_sites,
    addresses,
    ask,
    by_host,
    without_key,
)

BEARER = {"authorization": f"Bearer {TOKEN}"}
PUBLIC = {"/api/health"}
WRONG_KEYS = [
    {},
    {"authorization": ""},
    {"authorization": "Bearer"},
    {"authorization": "Bearer "},
    {"authorization": f"Bearer {TOKEN[:-1]}"},
    {"authorization": f"Bearer {TOKEN}x"},
    {"authorization": f"Basic {TOKEN}"},
    {"authorization": "Bearer \xff"},
    {"cookie": "saescope=1"},
    {"cookie": f"token={TOKEN}"},
]


def cookie(app: FastAPI) -> dict[str, str]:
    """What a browser sends that has opened the link."""
    answer = ask(app, "GET", f"/?token={TOKEN}")
    assert answer.status == 303
    return {"cookie": (answer.header("set-cookie") or "").split(";")[0]}


def test_the_walk_meets_every_route_the_description_names(app: FastAPI) -> None:
    walked = {(one.method, one.route.replace(":path}", "}")) for one in addresses(app)}
    described = {
        (method.upper(), path)
        for path, methods in openapi()["paths"].items()
        for method in methods
        if method in ("get", "put", "post", "patch", "delete")
    }
    assert len(described) > 20
    assert described <= walked


def test_no_route_answers_a_hostile_host(app: FastAPI) -> None:
    assert by_host(app, BEARER) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8420", "localhost:8420", "LOCALHOST", "[::1]:8420", "[::1]"])
def test_our_own_hosts_are_answered(app: FastAPI, host: str) -> None:
    assert ask(app, "GET", "/api/health", hosts=[host]).status == 200


def test_no_change_is_made_for_another_site(app: FastAPI) -> None:
    assert across_sites(app, cookie(app)) == []


def test_methods_nobody_has_heard_of_are_no_way_round(app: FastAPI) -> None:
    for method in ("TRACE", "CONNECT", "PURGE", "get", "Post", "X" * 40):
        for marks in CROSS_SITE:
            assert ask(app, method, "/api/settings", cookie(app) | marks).status == 403


def test_our_own_pages_and_scripts_make_changes(app: FastAPI) -> None:
    star = "/api/extractions/topk-64-sotu/features/0/star"
    page = {"sec-fetch-site": "same-origin", "origin": "http://127.0.0.1:8420"}
    assert ask(app, "PUT", star, cookie(app) | page).status == 204
    assert ask(app, "DELETE", star, BEARER).status == 204


def test_no_route_but_health_lets_in_who_has_no_key(app: FastAPI) -> None:
    assert without_key(app, WRONG_KEYS, PUBLIC) == []


def test_a_token_in_the_address_opens_pages_only(app: FastAPI) -> None:
    for one in addresses(app):
        if one.path.startswith("/api/") and one.route not in PUBLIC:
            assert ask(app, one.method, f"{one.path}?token={TOKEN}").status == 401
    assert ask(app, "GET", f"/?token={TOKEN[:-1]}").status == 401


def test_a_token_of_another_studio_opens_nothing(app: FastAPI, home: Home) -> None:
    other = create_app(home, "another-token-that-is-long-enough-to-be-one")
    assert ask(other, "GET", "/api/saes", cookie(app)).status == 401
    other.state.site.close()


def test_a_route_that_escapes_is_seen() -> None:
    bare = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    bare.add_api_route("/api/escaped/{name}", lambda name: name, methods=["GET", "POST"])
    assert len(by_host(bare, BEARER)) == 2 * len(HOSTILE_HOSTS)
    assert len(across_sites(bare, {})) == len(CROSS_SITE)
    assert len(without_key(bare, WRONG_KEYS, PUBLIC)) == 2 * len(WRONG_KEYS)


def test_the_link_becomes_a_strict_cookie_and_leaves_the_address(app: FastAPI) -> None:
    answer = ask(app, "GET", f"/features/x?token={TOKEN}&sort=-max")
    assert (answer.status, answer.header("location")) == (303, "/features/x?sort=-max")
    (morsel,) = http.cookies.SimpleCookie(answer.header("set-cookie")).values()
    assert morsel["httponly"]
    assert morsel["samesite"].lower() == "strict"
    assert not morsel["domain"]
    assert ask(app, "GET", "/api/saes", cookie(app)).status == 200


@pytest.mark.parametrize("path", ["//evil.example", "/\\evil.example", "/\t/evil.example", "/%0d%0aset-cookie:x=1"])
def test_the_link_leads_to_no_other_place(app: FastAPI, path: str) -> None:
    to = ask(app, "GET", f"{path}?token={TOKEN}").header("location") or "/"
    assert to.startswith("/")
    assert not to.startswith(("//", "/\\", "/\t"))
    assert "\n" not in to


def test_every_answer_is_fenced_in(app: FastAPI) -> None:
    for one in addresses(app):
        for key in ({}, BEARER if one.method in SAFE else {}):
            answer = ask(app, one.method, one.path, key, seconds=0.5)
            policy = answer.header("content-security-policy") or ""
            assert "default-src 'none'" in policy, one
            assert "frame-ancestors 'none'" in policy, one
            assert "unsafe" not in policy, one
            assert answer.header("x-content-type-options") == "nosniff", one
            assert not [name for name, _ in answer.headers if name.startswith("access-control-")], one


def test_refusals_have_the_one_shape(app: FastAPI) -> None:
    for one in addresses(app):
        if one.path.startswith("/api/") and one.route not in PUBLIC and one.method != "HEAD":
            for answer in (
                ask(app, one.method, one.path),
                ask(app, one.method, one.path, BEARER, hosts=["evil.example"]),
            ):
                assert set(json.loads(answer.body)["error"]) == {"kind", "message", "hint"}, one


def test_looking_writes_nothing(app: FastAPI, home: Home) -> None:
    def everything() -> list[str]:
        with open_database(home) as db, db.reading() as connection:
            return [str(connection.execute(table.select()).all()) for table in schema.metadata.sorted_tables]

    before = everything()
    for one in addresses(app):
        if one.method in SAFE:
            path = one.path.replace("/x/", "/topk-64-sotu/")
            assert ask(app, one.method, path, BEARER, seconds=2.0).status < 500, one
    assert everything() == before


def test_a_body_without_end_is_cut_off(app: FastAPI) -> None:
    large = b" " * (2**20 + 1)
    for one in addresses(app):
        if one.method not in SAFE and one.route != "/api/uploads":
            said = ask(
                app,
                one.method,
                one.path,
                BEARER | {"content-length": str(len(large)), "content-type": "application/json"},
                body=large,
            )
            assert said.status == 413, one


@pytest.mark.parametrize("path", ["/api/fire", "/api/jobs", "/api/steer", "/api/settings"])
def test_so_is_one_that_does_not_say_how_long_it_is(app: FastAPI, path: str) -> None:
    method = "PUT" if path == "/api/settings" else "POST"
    said = ask(app, method, path, BEARER | {"content-type": "application/json"}, body=b" " * (2**20 + 1))
    assert said.status == 413


@pytest.mark.parametrize("length", ["-1", "x", "1e9", "\xb2", ""])
def test_a_length_that_is_none_is_refused(app: FastAPI, length: str) -> None:
    assert 400 <= ask(app, "POST", "/api/fire", BEARER | {"content-length": length}).status < 500


@pytest.mark.parametrize(
    "name",
    [
        "..",
        "%2e%2e",
        "..%2f..%2fetc%2fpasswd",
        "..\\..\\x",
        "a;b",
        "a\x00b",
        "CON",
        "x" * 5000,
        "<script>",
        "' or 1=1 --",
    ],
)
def test_a_name_is_never_a_path(app: FastAPI, name: str) -> None:
    for path in (
        f"/api/saes/{name}",
        f"/api/extractions/{name}/features",
        f"/api/datasets/{name}",
        f"/api/jobs/{name}",
    ):
        assert ask(app, "GET", path, BEARER).status in (400, 404, 422), path
