"""What is published against what is seen."""

import pytest

from sidecar.embedded.faults import QueryLag
from sidecar.embedded.in_force import Faults
from sidecar.embedded.model import Edit, Instance, ServiceName
from sidecar.embedded.naming import Naming

ORDERS = ServiceName("orders")
ONE, TWO = Instance("10.0.0.1", 80), Instance("10.0.0.2", 80)


@pytest.fixture
def told() -> list[ServiceName]:
    return []


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def naming(told: list[ServiceName], faults: Faults) -> Naming:
    naming = Naming(faults, told.append)
    naming.publish("a", ORDERS, [ONE])
    return naming


def test_every_change_is_told_and_nothing_else(naming: Naming, told: list[ServiceName]) -> None:
    """Publications, edits, health flips and withdrawals are told; repetitions and thresholds are not."""
    naming.publish("a", ORDERS, [ONE])
    naming.set_threshold(ORDERS, 0.5)
    assert told == [ORDERS]
    naming.edit(ORDERS, "10.0.0.1", 80, Edit(weight=2.0))
    naming.set_health(ORDERS, "10.0.0.1", 80, healthy=False)
    naming.withdraw_client("a")
    assert told == [ORDERS] * 4


def test_a_change_is_seen_when_it_is_pushed(naming: Naming) -> None:
    """The list stays as first seen until it is refreshed."""
    assert naming.listing(ORDERS).hosts == (ONE,)
    naming.publish("b", ORDERS, [TWO])
    assert naming.listing(ORDERS).hosts == (ONE,)
    naming.refresh(ORDERS)
    assert naming.listing(ORDERS).hosts == (ONE, TWO)
    assert naming.instances(ORDERS) == (ONE, TWO)


def test_without_the_lag_a_change_is_seen_at_once(naming: Naming, faults: Faults) -> None:
    """As on r-nacos."""
    faults.set(QueryLag(enabled=False))
    assert naming.listing(ORDERS).hosts == (ONE,)
    naming.publish("b", ORDERS, [TWO])
    assert naming.listing(ORDERS).hosts == (ONE, TWO)


def test_a_threshold_is_seen_at_once(naming: Naming) -> None:
    """It is applied when a list is read, not when it is pushed."""
    assert naming.listing(ORDERS).protected is False
    naming.set_threshold(ORDERS, 1.0)
    assert naming.listing(ORDERS).protected is True


def test_equal_wishes_share_one_list(naming: Naming) -> None:
    """A list and its JSON are derived once for all subscribers with the same clusters."""
    assert naming.listing(ORDERS, "DEFAULT") is naming.listing(ORDERS, "DEFAULT")
    assert naming.listing(ORDERS, "east").hosts == ()


def test_a_restart_forgets_what_was_seen(naming: Naming) -> None:
    """After it the list is empty at once, without a push."""
    naming.listing(ORDERS)
    assert naming.forget_ephemeral() == {ORDERS: {"a": (ONE,)}}
    assert naming.listing(ORDERS).hosts == ()
    assert naming.services() == []
    assert repr(naming) == "<Naming <Catalogue 1 services, 0 instances>>"
