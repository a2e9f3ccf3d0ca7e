"""The allocator's settings hold where glibc is, and harm nothing elsewhere."""

import platform

import psutil
import pytest
import torch

from saescope.models import allocator
from saescope.models.allocator import Tidy, give_back_memory, keep_freed_memory


def test_glibc_keeps_freed_memory_and_others_are_left_alone():
    assert keep_freed_memory() == (platform.libc_ver()[0] == "glibc")
    assert keep_freed_memory() == keep_freed_memory()
    assert torch.ones(1000, 1000).sum() == 1e6


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert keep_freed_memory.__wrapped__() is False
    assert give_back_memory() is False


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_memory_kept_can_be_given_back():
    keep_freed_memory()
    process = psutil.Process()
    large = [torch.ones(1 << 20) for _ in range(64)]
    held = process.memory_info().rss
    del large
    give_back_memory()
    assert process.memory_info().rss < held - (200 << 20)


def test_memory_is_given_back_only_so_often(monkeypatch: pytest.MonkeyPatch) -> None:
    now, given = [100.0], []
    monkeypatch.setattr(allocator.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(allocator, "give_back_memory", lambda: given.append(now[0]))
    tidy = Tidy(seconds=10.0)
    for now[0] in (100.0, 109.9, 110.0, 115.0, 120.5):
        tidy()
    assert given == [110.0, 120.5]
