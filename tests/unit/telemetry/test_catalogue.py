"""The catalogue is complete, well named, and its page in the documentation is current."""

import random
from pathlib import Path
from typing import Any

from sidecar.cluster.cluster import Cluster
from sidecar.cluster.instance import Instance, Origin, Push
from sidecar.cluster.policy import ServicePolicy
from sidecar.cluster.stats import Histogram
from sidecar.telemetry.catalogue import LEFT_OUT, PER_ENDPOINT, PER_SERVICE, PROCESS, Service, reference
from sidecar.telemetry.family import Family, Kind

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "metrics.md"
FAMILIES: tuple[Family[Any], ...] = (*PER_SERVICE, *PER_ENDPOINT, LEFT_OUT, *PROCESS)


def _orders(origin: Origin) -> Cluster:
    cluster = Cluster(ServicePolicy(name="orders"), rng=random.Random(1), now=10.0)
    instances = (Instance("10.0.0.1", 80), Instance("10.0.0.2", 80))
    cluster.apply(Push(service="orders", instances=instances, origin=origin), now=10.0)
    return cluster


def _read(name: str, service: Service) -> object:
    [family] = [family for family in PER_SERVICE if family.name == name]
    return family.read(service)


def test_names_are_unique_and_follow_the_convention() -> None:
    """One prefix; counters, and nothing else, end in _total."""
    names = [family.name for family in FAMILIES]
    assert len(names) == len(set(names))
    assert all(name.startswith("sidecar_") for name in names)
    assert all((family.kind is Kind.COUNTER) == family.name.endswith("_total") for family in FAMILIES)


def test_help_fits_on_a_line_of_the_format() -> None:
    """No help text needs escaping in the exposition or in a table."""
    assert all(family.help and not set(family.help) & set("\n\\|") for family in FAMILIES)


def test_known_words_belong_to_a_single_label() -> None:
    """Where words are known there is one label for them, and no word twice."""
    for family in FAMILIES:
        if family.known:
            assert len(family.labels) == 1
            assert len(set(family.known)) == len(family.known)


def test_every_family_of_a_service_can_be_read_before_any_list_is_in() -> None:
    """A service without a list has numbers too, all of them zero; its age is unknown."""
    service = Service(Cluster(ServicePolicy(name="orders"), rng=random.Random(1), now=0.0), now=5.0)
    readings = {family.name: family.read(service) for family in PER_SERVICE}
    assert readings.pop("sidecar_registry_snapshot_age_seconds") is None
    for reading in readings.values():
        counts = reading.counts if isinstance(reading, Histogram) else reading
        assert not counts or not any(counts.values() if isinstance(counts, dict) else counts)  # type: ignore[arg-type]


def test_the_age_of_a_list_counts_from_its_last_confirmation() -> None:
    """A list of the registry ages; a static one has no age."""
    assert _read("sidecar_registry_snapshot_age_seconds", Service(_orders(Origin.NACOS), now=12.5)) == 2.5
    assert _read("sidecar_registry_snapshot_age_seconds", Service(_orders(Origin.STATIC), now=12.5)) is None


def test_the_source_of_the_list_is_named() -> None:
    """One of the sources is 1, and it is the right one."""
    assert _read("sidecar_registry_snapshot_source", Service(_orders(Origin.STATIC), now=0.0)) == {"static": 1}


def test_states_add_up_to_all_endpoints() -> None:
    """Each endpoint is in exactly one state."""
    states = _read("sidecar_endpoints", Service(_orders(Origin.NACOS), now=10.0))
    assert isinstance(states, dict)
    assert len(states) == 10
    assert sum(states.values()) == 2


def test_the_page_is_current() -> None:
    """`python -m sidecar.telemetry.catalogue > docs/reference/metrics.md` changes nothing."""
    assert PAGE.read_text("utf-8") == reference()
