"""What the process takes of the machine, held against what the client library of Prometheus says."""

import gc
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from sidecar.telemetry import machine
from sidecar.telemetry.machine import INTERPRETER, MACHINE, USAGE, usage


@pytest.fixture
def library() -> CollectorRegistry:
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    return registry


def test_names_kinds_and_labels_are_those_that_dashboards_know(library: CollectorRegistry) -> None:
    """Every family of the library, and no other."""
    theirs = {
        sample.name: (metric.type, tuple(sorted(sample.labels)))
        for metric in library.collect()
        for sample in metric.samples
    }
    assert {family.name: (family.kind.value, tuple(sorted(family.labels))) for family in MACHINE} == theirs


def test_the_numbers_are_those_of_the_library(library: CollectorRegistry) -> None:
    """Where they do not change from one look to the next."""
    now = usage()
    assert now is not None
    steady = [family for family in USAGE if family.name.endswith(("_time_seconds", "_fds"))]
    assert [family.read(now) for family in steady] == [library.get_sample_value(family.name) for family in steady]
    [(values, one)] = _reading("python_info").items()
    [labels] = [family.labels for family in INTERPRETER if family.name == "python_info"]
    assert library.get_sample_value("python_info", dict(zip(labels, values, strict=True))) == one


def test_memory_and_cpu_are_of_this_process() -> None:
    """CPU time grows with work, and memory is within what is mapped."""
    before = usage()
    assert before is not None
    while (now := usage()) and now.cpu_seconds == before.cpu_seconds:
        sum(range(100_000))
    assert now is not None
    assert 0 < now.resident_bytes < now.virtual_bytes
    assert now.cpu_seconds <= sum(os.times()[:2]) + 0.001  # the same ticks, added up as fractions


def test_generations_are_counted_apart() -> None:
    """A full collection counts for the oldest only."""
    gc.disable()
    before = _reading("python_gc_collections_total")
    gc.collect()
    after = _reading("python_gc_collections_total")
    gc.enable()
    assert {key: after[key] - before[key] for key in after} == {("0",): 0, ("1",): 0, ("2",): 1}


def test_a_system_that_tells_nothing_has_no_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Absent, not 0."""
    monkeypatch.setattr(machine, "_PROC", Path("/nowhere"))
    assert usage() is None


def _reading(name: str) -> Mapping[tuple[str, ...], int]:
    [reading] = [family.read(None) for family in INTERPRETER if family.name == name]
    assert isinstance(reading, Mapping)
    return reading
