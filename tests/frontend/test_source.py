"""What the web app's source may not hold, whoever writes it."""

import json
import re
from pathlib import Path

import pytest

FRONTEND = Path(__file__).resolve().parents[2] / "frontend"
SOURCES = sorted(path for path in (FRONTEND / "src").rglob("*") if path.suffix in {".ts", ".tsx"})


@pytest.mark.parametrize(
    "forbidden",
    [
        "dangerouslySetInnerHTML",
        r"\.innerHTML",
        r"\.outerHTML",
        "insertAdjacentHTML",
        r"document\.write",
        r"\beval\(",
        r"new Function\(",
        r"createContextualFragment",
        r"DOMParser",
        r"srcdoc",
        r"javascript:",
    ],
)
def test_text_never_becomes_markup_or_code(forbidden: str) -> None:
    found = [str(path.relative_to(FRONTEND)) for path in SOURCES if re.search(forbidden, path.read_text())]
    assert not found


def test_there_are_sources_to_look_at() -> None:
    assert len(SOURCES) > 40


def test_pages_load_nothing_from_elsewhere_and_carry_no_inline_code() -> None:
    page = (FRONTEND / "index.html").read_text()
    assert "http:" not in page
    assert "https:" not in page
    assert not re.search(r"<script(?![^>]*\bsrc=)", page)
    assert "<style" not in page
    assert " style=" not in page
    assert not re.search(r"\son[a-z]+=", page)


def test_the_lock_names_exact_packages_and_no_registry() -> None:
    lock = json.loads((FRONTEND / "package-lock.json").read_text())
    for name, package in lock["packages"].items():
        assert "resolved" not in package, name
        assert not name or "version" in package, name
        assert not name or package.get("integrity") or package.get("link"), name


def test_addresses_of_the_api_are_relative_to_where_the_app_came_from() -> None:
    for path in SOURCES:
        if path.name == "schema.d.ts":
            continue
        for address in re.findall(r"https?://[^\s\"'`]+", path.read_text()):
            assert address.startswith("http://www.w3.org/"), f"{path.name}: {address}"
