"""Fetching from a hub: what arrives, and the one clear line for everything that can go wrong."""

import os
import socket

import pytest

from saescope import hub
from saescope.errors import BadSource, NoSpace, NotFound, Unreachable
from support.hub_server import hub_server


@pytest.fixture
def repo(tmp_path):
    folder = tmp_path / "repo"
    (folder / "data").mkdir(parents=True)
    (folder / "README.md").write_text("# tiny\n")
    (folder / "config.json").write_text("{}")
    (folder / "data" / "train.txt").write_bytes(os.urandom(70_000))
    return folder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    for name in ("HF_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def test_a_snapshot_holds_the_files_that_match_and_no_others(repo, monkeypatch):
    with hub_server({"models/org/tiny": repo}) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        folder = hub.snapshot("org/tiny", patterns=["*.json"])
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == ["config.json"]


def test_a_snapshot_reports_its_bytes(repo, monkeypatch):
    seen = []
    with hub_server({"datasets/org/tiny": repo}) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        folder = hub.snapshot("org/tiny", repo_type="dataset", progress=seen.append)
    assert (folder / "data/train.txt").read_bytes() == (repo / "data/train.txt").read_bytes()
    assert seen[-1].unit == "bytes"
    assert seen[-1].done == sum(path.stat().st_size for path in repo.rglob("*") if path.is_file())


def test_a_file_of_a_listing_is_fetched_on_its_own(repo, monkeypatch):
    asked = []
    with hub_server({"datasets/org/tiny": repo}, requests=asked) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        listing = hub.list_files("org/tiny", repo_type="dataset")
        path = hub.fetch(listing, "data/train.txt")
    assert listing.files == ("README.md", "config.json", "data/train.txt")
    assert path.read_bytes() == (repo / "data/train.txt").read_bytes()
    assert not any("config.json" in line for line in asked)


def test_what_was_fetched_before_is_found_when_the_hub_is_gone(repo, monkeypatch):
    with hub_server({"datasets/org/tiny": repo}) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        first = hub.snapshot("org/tiny", repo_type="dataset")
        hub.list_files("org/tiny", repo_type="dataset")
    assert hub.snapshot("org/tiny", repo_type="dataset") == first
    assert "data/train.txt" in hub.list_files("org/tiny", repo_type="dataset").files
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert hub.snapshot("org/tiny", repo_type="dataset") == first


def test_a_hub_that_cannot_be_reached_says_what_works_offline(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("HF_ENDPOINT", url)
    with pytest.raises(Unreachable, match=url) as caught:
        hub.snapshot("org/tiny", repo_type="dataset")
    assert "offline" in caught.value.hint
    assert ".parquet" in caught.value.hint
    with pytest.raises(Unreachable) as caught:
        hub.snapshot("org/tiny")
    assert ".gguf" in caught.value.hint


def test_switched_off_by_the_user_is_said_so(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(Unreachable, match="HF_HUB_OFFLINE"):
        hub.snapshot("org/tiny")


def test_a_repository_that_is_not_there_is_named(repo, monkeypatch):
    with hub_server({"models/org/tiny": repo}) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        with pytest.raises(NotFound, match="there is no dataset 'org/tiny' on the hub"):
            hub.snapshot("org/tiny", repo_type="dataset")
        with pytest.raises(NotFound, match="no such revision"):
            hub.snapshot("org/tiny", revision="v9")


def test_a_gated_repository_asks_for_a_token(repo, monkeypatch):
    with hub_server({"models/org/tiny": repo}, gated=["models/org/tiny"]) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        with pytest.raises(BadSource, match="gated") as caught:
            hub.snapshot("org/tiny")
    assert "HF_TOKEN" in caught.value.hint


@pytest.mark.parametrize("name", ["a b/c", "../../etc", "a/b/c", "org/ti\nny", ""])
def test_a_name_that_is_no_id_is_refused_before_any_request(name, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(BadSource, match="not the id of a model"):
        hub.snapshot(name)


def test_patterns_that_match_nothing_are_named(repo, monkeypatch):
    with hub_server({"models/org/tiny": repo}) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        with pytest.raises(BadSource, match=r"\*\.safetensors"):
            hub.snapshot("org/tiny", patterns=["*.safetensors"])


@pytest.mark.parametrize("status", [503, 429])
def test_a_hub_that_is_down_counts_as_unreachable(repo, monkeypatch, status):
    with hub_server({"models/org/tiny": repo}, status=status) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        with pytest.raises(Unreachable, match=str(status)):
            hub.snapshot("org/tiny")


def test_a_server_that_is_no_hub_is_an_unreachable_hub(repo, monkeypatch):
    with hub_server({}, status=200) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        with pytest.raises(Unreachable):
            hub.snapshot("org/tiny")


def test_a_download_that_breaks_off_is_an_unreachable_hub(repo, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with hub_server({"models/org/tiny": repo}, cut=["data/train.txt"]) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        with pytest.raises(Unreachable):
            hub.snapshot("org/tiny")


def test_a_full_disk_is_named_with_the_cache(repo, monkeypatch):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with hub_server({"models/org/tiny": repo}) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, hard))
        try:
            with pytest.raises(NoSpace, match="no space left for model 'org/tiny'"):
                hub.snapshot("org/tiny")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
