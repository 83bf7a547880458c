"""The catalogue as text, Prometheus or OpenMetrics, written by hand from plain integers.

Why by hand: the client library makes all lines in one go and slowly, so that a scrape of many services stops the loop
for a fifth of a second. Here the loop may do other work between two services. The numbers of one scrape are
therefore not of one instant; those of one service are.
"""

import asyncio
import platform
import re
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import accumulate, chain, islice
from typing import Any

from sidecar.cluster.cluster import Cluster
from sidecar.cluster.stats import Histogram, ProcessStats
from sidecar.telemetry.catalogue import (
    LEFT_OUT,
    PER_ENDPOINT,
    PER_SERVICE,
    PROCESS,
    UNROUTED,
    Facts,
    Process,
    Service,
)
from sidecar.telemetry.family import Family, Kind, Reading
from sidecar.telemetry.machine import INTERPRETER, USAGE, usage

__all__ = ["Exposition", "Facts"]

_TEXT = "text/plain; version=0.0.4; charset=utf-8"
_OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_WANTS_OPENMETRICS = re.compile(r"(?:^|,)\s*application/openmetrics-text\s*(?:[;,]|$)", re.IGNORECASE).search
"""Who knows that format names it; nobody names it to refuse it."""


class Exposition:
    """Answers scrapes; they may overlap."""

    def __init__(self, process: ProcessStats, *, version: str, loop: str) -> None:
        self._process = process
        self._build = (version, platform.python_version(), loop)

    async def render(self, accept: str, clusters: Sequence[Cluster], facts: Facts) -> tuple[bytes, str]:
        """The body and its content type, as the `Accept` header asks."""
        openmetrics = _WANTS_OPENMETRICS(accept) is not None
        page = _Page(openmetrics=openmetrics)
        left = facts.max_endpoint_series if facts.per_endpoint else 0
        for cluster in clusters:
            page.add_service(Service(cluster, facts.now))
            left -= page.add_endpoints(cluster, most=left)
            await asyncio.sleep(0)
        page.add_process(Process(self._process, facts, self._build))
        if facts.per_endpoint:
            known = sum(len(cluster.endpoints) for cluster in clusters)
            page.add(LEFT_OUT, "", max(0, known - facts.max_endpoint_series))
        page.add_machine()
        await asyncio.sleep(0)
        return page.body(), _OPENMETRICS if openmetrics else _TEXT


class _Page:
    """Gathers samples by family, as both formats demand; the body is joined once."""

    __slots__ = ("_openmetrics", "_parts")

    def __init__(self, *, openmetrics: bool) -> None:
        self._openmetrics = openmetrics
        self._parts: dict[str, list[bytes]] = {}

    def add_service(self, service: Service) -> None:
        labels = f'service="{service.cluster.name}"'
        for family in PER_SERVICE:
            self.add(family, labels, family.read(service))

    def add_endpoints(self, cluster: Cluster, *, most: int) -> int:
        """Adds the first `most` endpoints; returns how many that were."""
        chosen = list(islice(cluster.endpoints.values(), most))
        for endpoint in chosen:
            labels = f'service="{cluster.name}",endpoint="{endpoint.address}"'
            for family in PER_ENDPOINT:
                self.add(family, labels, family.read(endpoint))
        return len(chosen)

    def add_process(self, process: Process) -> None:
        for family in UNROUTED:
            self.add(family, 'service="-"', family.read(process))
        for family in PROCESS:
            self.add(family, "", family.read(process))

    def add_machine(self) -> None:
        if (now := usage()) is not None:
            for family in USAGE:
                self.add(family, "", family.read(now))
        for other in INTERPRETER:
            self.add(other, "", other.read(None))

    def add(self, family: Family[Any], labels: str, reading: Reading) -> None:
        """`labels` are those of the subject, as they stand inside the braces."""
        if reading is None:
            return
        if (part := self._parts.get(family.name)) is None:
            part = self._parts[family.name] = [self._head(family).encode()]
        part.append(_samples(family, labels, reading).encode())

    def body(self) -> bytes:
        end = (b"# EOF\n",) if self._openmetrics else ()
        return b"".join([*chain.from_iterable(self._parts.values()), *end])

    def _head(self, family: Family[Any]) -> str:
        name = family.name
        if self._openmetrics and family.kind is Kind.COUNTER:
            name = name.removesuffix("_total")
        return f"# HELP {name} {family.help}\n# TYPE {name} {family.kind.value}\n"


def _samples(family: Family[Any], labels: str, reading: Reading) -> str:
    match reading:
        case Histogram():
            *cumulative, count = accumulate(reading.counts)
            values = (*cumulative, count, reading.total, count)
            text = _histogram_template(family.name, reading.bounds) % values
        case Mapping() if family.known:
            text = _words_template(family) % tuple([reading.get(word, 0) for word in family.known])
            if len(reading) > len(family.known) or not reading.keys() <= set(family.known):
                text += _unforeseen(family, reading)
        case Mapping():
            text = "".join([_line(family, values, number) for values, number in list(reading.items())])
        case _:
            text = f"{family.name}{{{_SUBJECT}}} {reading}\n"
    return text.replace(_SUBJECT, labels) if labels else text.replace(f"{{{_SUBJECT}}}", "").replace(f"{_SUBJECT},", "")


_SUBJECT = "\0"
"""Stands for the subject's labels: a family's text differs by nothing else from service to service, and by numbers."""


def _line(family: Family[Any], values: tuple[Any, ...], number: object) -> str:
    pairs = ",".join([f'{label}="{value}"' for label, value in zip(family.labels, values, strict=True)])
    return f"{family.name}{{{_SUBJECT},{pairs}}} {number}\n"


def _unforeseen(family: Family[Any], reading: Mapping[Any, int]) -> str:
    """Words that were counted though the catalogue lacks them: better shown than lost."""
    return "".join(
        [_line(family, (word,), number) for word, number in list(reading.items()) if word not in family.known]
    )


@cache
def _words_template(family: Family[Any]) -> str:
    return "".join([_line(family, (word,), "%s") for word in family.known])


@cache
def _histogram_template(name: str, bounds: tuple[float, ...]) -> str:
    buckets = [f'{name}_bucket{{{_SUBJECT},le="{bound}"}} %s\n' for bound in (*map(float, bounds), "+Inf")]
    return "".join([*buckets, f"{name}_sum{{{_SUBJECT}}} %s\n{name}_count{{{_SUBJECT}}} %s\n"])
