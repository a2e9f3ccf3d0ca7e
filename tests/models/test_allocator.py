"""The allocator's settings hold where glibc is, and harm nothing elsewhere."""

import platform

import torch

from saescope.models.allocator import keep_freed_memory


def test_glibc_keeps_freed_memory_and_others_are_left_alone():
    assert keep_freed_memory() == (platform.libc_ver()[0] == "glibc")
    assert keep_freed_memory() == keep_freed_memory()
    assert torch.ones(1000, 1000).sum() == 1e6


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert keep_freed_memory.__wrapped__() is False
