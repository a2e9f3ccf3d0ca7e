"""Keys: where they are kept, whom they are sent to, and that they are found nowhere else."""

import io
import json
import os
import stat
import subprocess
import sys
from dataclasses import replace

import keyring
import pytest
from keyring.backend import KeyringBackend

import saescope
from saescope.cli.main import main
from saescope.errors import BadValue, NameTaken, NotFound, WrongRequest
from saescope.home import Home
from saescope.llm.endpoints import checked_url, origin
from saescope.llm.keys import read_key
from support.llm_server import llm_server
from support.planted_home import NAME, planted_home

KEY = "sk-canary-8a41f6b2d97c"


@pytest.fixture
def home(tmp_path, monkeypatch) -> Home:
    monkeypatch.delenv("SAESCOPE_DATABASE_URL", raising=False)
    return Home(tmp_path / "home")


@pytest.fixture
def studio(home):
    with saescope.open(home.root) as opened:
        yield opened


def test_a_key_file_is_for_its_owner_alone(home, studio):
    there = studio.add_llm("there", "https://api.example/v1", "m", key=f"  {KEY}\n")
    [file] = home.keys.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.keys.stat().st_mode) == 0o700
    assert read_key(home, there) == KEY
    file.chmod(0o644)
    with pytest.raises(WrongRequest, match="others can read"):
        read_key(home, there)
    file.chmod(0o600)
    studio.remove_llm("there")
    assert list(home.keys.iterdir()) == []


@pytest.mark.parametrize("url", ["https://evil.example/v1", "https://api.example:444/v1", "http://127.0.0.1/v1"])
def test_an_address_that_was_changed_in_the_catalogue_gets_no_key(home, studio, monkeypatch, url):
    monkeypatch.setenv("THEIR_KEY", KEY)
    for name, how in (("file", {"key": KEY}), ("variable", {"key_env": "THEIR_KEY"})):
        there = studio.add_llm(name, "https://api.example/v1", "m", **how)
        assert read_key(home, there) == KEY
        assert read_key(home, replace(there, url="https://API.example:443/v2")) == KEY
        with pytest.raises(WrongRequest, match="was given for"):
            read_key(home, replace(there, url=url))


def test_of_a_key_in_the_environment_only_the_name_is_kept(home, studio, monkeypatch):
    monkeypatch.setenv("THEIR_KEY", KEY)
    there = studio.add_llm("there", "https://api.example/v1", "m", key_env="THEIR_KEY")
    assert KEY not in "".join(file.read_text() for file in home.keys.iterdir())
    monkeypatch.delenv("THEIR_KEY")
    with pytest.raises(WrongRequest, match="THEIR_KEY is not set"):
        read_key(home, there)


class InMemory(KeyringBackend):
    priority = 1

    def __init__(self):
        super().__init__()
        self.held = {}

    def set_password(self, service, username, password):
        self.held[service, username] = password

    def get_password(self, service, username):
        return self.held.get((service, username))

    def delete_password(self, service, username):
        del self.held[service, username]


def test_a_key_can_be_in_the_keyring(home, studio):
    before, ring = keyring.get_keyring(), InMemory()
    keyring.set_keyring(ring)
    try:
        there = studio.add_llm("there", "https://api.example/v1", "m", key=KEY, keyring=True)
        assert list(ring.held.values()) == [KEY]
        assert KEY not in "".join(file.read_text() for file in home.keys.iterdir())
        assert read_key(home, there) == KEY
        studio.remove_llm("there")
        assert ring.held == {}
    finally:
        keyring.set_keyring(before)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("http://localhost:11434", "http://localhost:11434/v1"),
        ("https://api.openai.com/v1/", "https://api.openai.com/v1"),
        ("https://x.example/openai/v1/chat/completions", "https://x.example/openai/v1"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
    ],
)
def test_addresses_are_kept_in_one_form(given, kept):
    assert checked_url(given) == kept
    assert origin(kept) == origin(given)


@pytest.mark.parametrize(
    "url",
    ["", "ftp://x", "x", "https://user:pass@x/v1", "https://x/v1?key=1", "https://x/#a", "file:///etc/passwd",
     "https://x:99999/", "https://a b/"],
)  # fmt: skip
def test_what_is_no_address_of_a_server_is_refused(studio, url):
    with pytest.raises(BadValue):
        studio.add_llm("there", url, "m")


def test_a_key_does_not_travel_in_the_clear(studio):
    with pytest.raises(BadValue, match="not encrypted"):
        studio.add_llm("there", "http://api.example/v1", "m", key=KEY)
    assert studio.llm_endpoints() == []
    studio.add_llm("near", "http://192.168.0.7:8000/v1", "m", key=KEY)


@pytest.mark.parametrize("key", ["", "two words", "line\nbreak", "ключ", "x" * 9000])
def test_what_is_no_key_is_refused_and_not_repeated(studio, key):
    with pytest.raises(BadValue) as caught:
        studio.add_llm("there", "https://api.example/v1", "m", key=key)
    assert len(key) < 3 or key not in str(caught.value)


def test_names_are_given_once(home, studio):
    studio.add_llm("there", "https://api.example/v1", "m", key=KEY)
    with pytest.raises(NameTaken):
        studio.add_llm("there", "https://api.example/v1", "m", key=KEY)
    assert len(list(home.keys.iterdir())) == 1
    with pytest.raises(NotFound, match="there"):
        studio.test_llm("other")


def test_the_canary_key_is_found_nowhere_but_in_its_store(tmp_path, monkeypatch, capfd, caplog):
    """A home in use: added, tested, asked, refused by a server that repeats the key, exported, listed."""
    monkeypatch.delenv("SAESCOPE_DATABASE_URL", raising=False)
    caplog.set_level("DEBUG")
    home = planted_home(tmp_path / "home", 7)
    at = ["--home", str(home.root)]
    seen: list[str] = []

    def answer(system, user):
        seen.extend(_command_lines())
        return json.dumps({"label": f"the key is {KEY}"}) if "numbers" not in user else KEY

    with llm_server(answer=answer) as server:
        monkeypatch.setattr(sys, "stdin", io.StringIO(KEY + "\n"))
        assert main(["llm", "add", "there", "--url", server.url, "--model", "m", "--key", *at]) == 0
        assert main(["llm", "test", "there", *at]) == 0
        assert main(["llm", "list", "--json", *at]) == 0
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        words = [sys.executable, "-m", "saescope", "label", NAME, "--explainer", "llm", "--debug", *at]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        server.always = (401, {"message": f"wrong key {KEY}", "code": KEY})
        assert main(["label", NAME, "--explainer", "llm", "--again", "--debug", *at]) == 2
        assert all(headers["authorization"] == f"Bearer {KEY}" for headers in server.headers)
    for name in ("labels.jsonl", "labels.csv"):
        assert main(["labels", "export", NAME, str(tmp_path / name), *at]) == 0
    assert main(["jobs", "list", "--json", *at]) == 0
    said = capfd.readouterr()
    texts = [said.out, said.err, done.stdout, done.stderr, caplog.text, *seen]
    assert len(seen) > 5
    assert not [text for text in texts if KEY in text]
    holding = [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert [path.parent for path in holding] == [home.keys]
    assert (home.root / "studio.db").stat().st_size > 0


def _command_lines() -> list[str]:
    found = []
    for process in os.listdir("/proc") if os.path.isdir("/proc") else []:
        if process.isdigit():
            try:
                with open(f"/proc/{process}/cmdline", "rb") as file:
                    found.append(file.read().decode("utf-8", "replace"))
            except OSError:
                continue
    return found
