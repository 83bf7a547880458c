"""Names of several nodes: whose turn it is."""

import random
from collections import Counter

import pytest

from sidecar.discovery.names import REMEMBERED, Preference, resolve

NODES = ["10.0.0.1", "10.0.0.2", "10.0.0.3"]


@pytest.fixture
def preference() -> Preference:
    return Preference(rng=random.Random(1))


def test_whoever_was_left_the_longest_ago_comes_first(preference: Preference) -> None:
    """Those never left before all."""
    for address in ("10.0.0.1", "10.0.0.3", "10.0.0.1"):
        preference.left(address)
    assert preference.order(NODES) == ["10.0.0.2", "10.0.0.3", "10.0.0.1"]
    preference.left("10.0.0.2")
    assert preference.order(NODES) == ["10.0.0.3", "10.0.0.1", "10.0.0.2"]


def test_a_fleet_that_starts_together_shares_the_nodes(preference: Preference) -> None:
    """Each is first about as often as another."""
    firsts = Counter(preference.order(NODES)[0] for _ in range(300))
    assert firsts.keys() == set(NODES)
    assert min(firsts.values()) > 60


def test_the_family_that_the_resolver_prefers_comes_first(preference: Preference) -> None:
    """Any address of it, and the other family after them, for it may lead nowhere from here."""
    for order in (["::1", "127.0.0.1", "::2"], ["127.0.0.1", "::1", "127.0.0.2"]):
        found = preference.order(order)
        assert {found[0], found[1]} == {order[0], order[2]}
        assert found[2] == order[1]


def test_a_bounded_number_is_remembered(preference: Preference) -> None:
    """The oldest are forgotten."""
    for number in range(REMEMBERED + 1):
        preference.left(f"10.1.{number // 250}.{number % 250}")
    assert preference.order(["10.1.0.1", "10.1.0.0"])[0] == "10.1.0.0"
    assert len(preference._left) == REMEMBERED
    assert preference.order([]) == []


async def test_an_address_is_its_own_name() -> None:
    """Of either family; a name has at least one."""
    assert await resolve("10.0.0.1") == ["10.0.0.1"]
    assert await resolve("2001:db8::1") == ["2001:db8::1"]
    assert "127.0.0.1" in await resolve("localhost")
    with pytest.raises(OSError, match="known"):
        await resolve("no-such-host.invalid")
    with pytest.raises(OSError, match="no name that DNS can have"):
        await resolve("x" * 64 + ".example")
