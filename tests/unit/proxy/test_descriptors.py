"""Descriptors and their numbers."""

import math
import os
import resource
import socket

import pytest

from sidecar.proxy.descriptors import full_for_apps, full_for_pipes, lowest_free


def limited(monkeypatch: pytest.MonkeyPatch, limit: int) -> float:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    return full_for_apps()


def test_an_eighth_is_not_for_apps(monkeypatch: pytest.MonkeyPatch) -> None:
    assert limited(monkeypatch, 1024) == 896


def test_all_but_an_eighth_are_only_for_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Apps are still let in when pipes no longer are."""
    assert limited(monkeypatch, 1024) > full_for_pipes()
    assert full_for_pipes() == 128


def test_without_a_limit_it_is_never_full(monkeypatch: pytest.MonkeyPatch) -> None:
    assert limited(monkeypatch, resource.RLIM_INFINITY) == math.inf
    assert full_for_pipes() == math.inf


def test_the_lowest_free_number_is_what_the_next_one_gets() -> None:
    """Asking takes none."""
    with socket.socket() as sock:
        expected = lowest_free(sock)
        assert lowest_free(sock) == expected
        with socket.socket() as other:
            assert other.fileno() == expected


def test_with_none_left_it_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """EMFILE is beyond any number."""

    def fail(_: int) -> int:
        raise OSError(24, "too many open files")

    monkeypatch.setattr(os, "dup", fail)
    with socket.socket() as sock:
        assert lowest_free(sock) == math.inf
