"""What a scrape gets: judged by two parsers that are not ours, and by the catalogue."""

import asyncio
import random
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from sidecar.cluster.cluster import Cluster
from sidecar.cluster.instance import Instance, Origin, Push
from sidecar.cluster.policy import ServicePolicy
from sidecar.cluster.stats import ProcessStats
from sidecar.telemetry.catalogue import LEFT_OUT, PER_ENDPOINT, PER_SERVICE, PROCESS, Facts
from sidecar.telemetry.exposition import Exposition
from sidecar.telemetry.family import Family
from sidecar.telemetry.machine import MACHINE

FACTS = Facts(
    now=10.0, registry_connected=True, ready=True, draining=False, last_reload_ok=True, last_reload_at=1769853600.123
)
OPENMETRICS = "application/openmetrics-text; version=1.0.0; q=0.5, text/plain; version=0.0.4; q=0.2"


def _cluster(name: str, instances: int = 3) -> Cluster:
    cluster = Cluster(ServicePolicy(name=name), rng=random.Random(1), now=0.0)
    listed = tuple(Instance(f"10.0.0.{n}", 8080) for n in range(instances))
    cluster.apply(Push(service=name, instances=listed, origin=Origin.NACOS), now=0.0)
    return cluster


@pytest.fixture
def orders() -> Cluster:
    cluster = _cluster("orders")
    cluster.stats.clean[200] = 41
    cluster.stats.flagged[503, "UF,URX"] = 1
    cluster.stats.rescued["retry"] = 7
    cluster.stats.failed["a word of tomorrow"] = 2
    for seconds in (0.001, 0.0011, 0.3, 100.0):
        cluster.stats.request_duration.observe(seconds)
    return cluster


async def _scrape(
    clusters: Sequence[Cluster], facts: Facts = FACTS, accept: str = "", stats: ProcessStats | None = None
) -> str:
    exposition = Exposition(stats or ProcessStats(), version="1.2.3", loop="uvloop")
    body, _ = await exposition.render(accept, clusters, facts)
    return body.decode()


def _samples(families: Sequence[Metric]) -> dict[str, float]:
    return {
        f"{sample.name}{{{','.join(f'{k}={v}' for k, v in sample.labels.items())}}}": sample.value
        for family in families
        for sample in family.samples
    }


@pytest.mark.parametrize(("accept", "parse"), [("", parse_text), (OPENMETRICS, parse_openmetrics)])
async def test_parsers_that_are_not_ours_read_every_number(accept: str, parse: object, orders: Cluster) -> None:
    """Both formats parse, and the numbers are those that were counted."""
    assert callable(parse)
    samples = _samples(list(parse(await _scrape([orders], accept=accept))))
    expected = {
        "sidecar_requests_total{service=orders,code=200,flags=-}": 41,
        "sidecar_requests_total{service=orders,code=503,flags=UF,URX}": 1,
        "sidecar_rescued_requests_total{service=orders,by=retry}": 7,
        "sidecar_rescued_requests_total{service=orders,by=wait}": 0,
        "sidecar_request_duration_seconds_bucket{service=orders,le=0.001}": 1,
        "sidecar_request_duration_seconds_bucket{service=orders,le=0.5}": 3,
        "sidecar_request_duration_seconds_bucket{service=orders,le=+Inf}": 4,
        "sidecar_request_duration_seconds_count{service=orders}": 4,
        "sidecar_request_duration_seconds_sum{service=orders}": pytest.approx(100.3021),
        "sidecar_endpoints{service=orders,state=available}": 3,
        "sidecar_registry_snapshot_age_seconds{service=orders}": 10.0,
        "sidecar_config_last_reload_success_timestamp_seconds{}": 1769853600.123,
        "sidecar_event_loop_lag_seconds_count{}": 0,
        "sidecar_attempts_total{service=orders,outcome=a word of tomorrow}": 2,
    }
    assert {name: samples.get(name) for name in expected} == expected
    assert not [name for name in samples if "_created" in name]


async def test_the_format_is_negotiated(orders: Cluster) -> None:
    """Prometheus asks for OpenMetrics and gets it, with its end mark once; a person gets plain text."""
    exposition = Exposition(ProcessStats(), version="1", loop="asyncio")
    text, text_type = await exposition.render("*/*", [orders], FACTS)
    openmetrics, openmetrics_type = await exposition.render(OPENMETRICS, [orders], FACTS)
    assert text_type.startswith("text/plain; version=0.0.4")
    assert openmetrics_type.startswith("application/openmetrics-text; version=1.0.0")
    assert openmetrics.endswith(b"# EOF\n")
    assert (openmetrics.count(b"# EOF"), text.count(b"# EOF")) == (1, 0)
    for accept, chosen in (("", text_type), ("text/plain, Application/OpenMetrics-Text", openmetrics_type)):
        assert (await exposition.render(accept, [], FACTS))[1] == chosen


async def test_every_family_is_in_the_catalogue_and_every_row_is_exported(orders: Cluster) -> None:
    """Nothing is exported that no page names, and nothing is named that no scrape shows."""
    text = await _scrape([orders], replace(FACTS, per_endpoint=True))
    exported = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    rows: tuple[Family[Any], ...] = (*PER_SERVICE, *PER_ENDPOINT, LEFT_OUT, *PROCESS, *MACHINE)
    assert exported == {family.name for family in rows}


async def test_known_words_are_exported_from_the_start() -> None:
    """A service that has done nothing shows each known word at 0, so that the first event makes a rate."""
    samples = _samples(list(parse_text(await _scrape([_cluster("idle", 0)]))))
    for family in PER_SERVICE:
        for word in family.known:
            assert f"{family.name}{{service=idle,{family.labels[0]}={word}}}" in samples


async def test_a_static_sidecar_shows_no_registry() -> None:
    """Absent is not 0: nothing is disconnected where nothing was to be connected."""
    samples = _samples(list(parse_text(await _scrape([], replace(FACTS, registry_connected=None)))))
    assert "sidecar_registry_connected{}" not in samples
    assert "sidecar_registry_connected{}" in _samples(list(parse_text(await _scrape([]))))


async def test_requests_before_routing_have_a_dash_for_the_service(orders: Cluster) -> None:
    """One family, contiguous, with both kinds of rows."""
    stats = ProcessStats()
    stats.unrouted.flagged[502, "NR"] = 3
    text = await _scrape([orders], stats=stats)
    assert _samples(list(parse_text(text)))["sidecar_requests_total{service=-,code=502,flags=NR}"] == 3
    assert text.count("# TYPE sidecar_requests_total") == 1


async def test_connections_to_the_shared_listener_have_a_dash_for_the_service(orders: Cluster) -> None:
    """They belong to nobody before a request names its service; the row is there from the start."""
    stats = ProcessStats()
    assert 'sidecar_connections{service="-",side="app"} 0' in await _scrape([orders], stats=stats)
    stats.unrouted.app_connections = 2
    assert 'sidecar_connections{service="-",side="app"} 2' in await _scrape([orders], stats=stats)


async def test_endpoint_series_are_off_by_default_and_bounded_when_on() -> None:
    """The first endpoints are shown up to the limit over all services, the rest is counted."""
    clusters = [_cluster("a"), _cluster("b")]
    assert "sidecar_endpoint_" not in await _scrape(clusters)
    facts = replace(FACTS, per_endpoint=True, max_endpoint_series=4)
    samples = _samples(list(parse_text(await _scrape(clusters, facts))))
    shown = [name for name in samples if name.startswith("sidecar_endpoint_requests_total")]
    assert len(shown) == 4
    assert "sidecar_endpoint_requests_total{service=b,endpoint=10.0.0.0:8080}" in shown
    assert samples["sidecar_endpoint_series_truncated{}"] == 2


async def test_the_loop_turns_between_services() -> None:
    """Other work gets its turn at least once a service."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.get_running_loop().create_task(count())
    await _scrape([_cluster(f"s{n}") for n in range(20)])
    counting.cancel()
    assert turns >= 20


@pytest.mark.needs("promtool")
def test_promtool_finds_nothing_to_improve(orders: Cluster) -> None:
    """Names, types, helps and units pass Prometheus's own linter."""
    text = asyncio.run(_scrape([orders], replace(FACTS, per_endpoint=True)))
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
