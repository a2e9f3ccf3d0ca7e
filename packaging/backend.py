"""What builds the wheel and the sdist: setuptools, with the web app built first where it is missing.

An sdist carries the built app, so a wheel made from one needs no Node. From a bare checkout Node is taken from
the PATH or asked for as a build requirement; without either the wheel is made without the app.
"""

import sys
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import (
    build_editable,
    get_requires_for_build_editable,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

import web

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

Settings = dict[str, Any] | None


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    return [*build_meta.get_requires_for_build_wheel(config_settings), *_node()]


def get_requires_for_build_sdist(config_settings: Settings = None) -> list[str]:
    return [*build_meta.get_requires_for_build_sdist(config_settings), *_node()]


def build_wheel(wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None) -> str:
    _app()
    return build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_sdist(sdist_directory: str, config_settings: Settings = None) -> str:
    _app()
    return build_meta.build_sdist(sdist_directory, config_settings)


def _node() -> list[str]:
    needed = web.source() and not web.built() and web.node() is None
    return [web.NODE_WHEEL] if needed else []


def _app() -> None:
    if web.built() or not web.source():
        return
    if wrong := web.build():
        sys.stderr.write(f"{wrong}: this package will hold no web app\n")
