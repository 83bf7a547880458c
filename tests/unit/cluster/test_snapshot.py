"""A list as it counts."""

import pytest

from sidecar.cluster.instance import Instance, Origin, Push, Statement, View
from sidecar.cluster.policy import Discovery
from sidecar.cluster.snapshot import EMPTY, Difference, difference, is_on, read, switched_off
from tests.support.clusters import at, at_all, instance


def push(*instances: Instance, protect: bool | None = None) -> Push:
    return Push("orders", instances, Origin.NACOS, protect=protect)


def test_clusters_filter_first() -> None:
    """With `clusters: [A]`, instances of other clusters are not there at all."""
    news = read(push(instance("a", cluster="A"), instance("b", cluster="B")), Discovery(clusters=("A",)))
    assert news.instances.keys() == {at("a")}


def test_all_metadata_must_match_exactly() -> None:
    """Every configured pair has to be there with its very value; further pairs do not matter."""
    wanted = Discovery(metadata={"v": "2", "zone": "x"})
    listed = [
        instance("a", metadata={"v": "2", "zone": "x", "more": "y"}),
        instance("b", metadata={"v": "2"}),
        instance("c", metadata={"v": "20", "zone": "x"}),
    ]
    assert read(push(*listed), wanted).instances.keys() == {at("a")}


@pytest.mark.scenario("S-13")
def test_the_healthy_one_of_two_entries_counts() -> None:
    """The same ip:port twice is one endpoint: the healthy entry, wherever it stands."""
    sick, well = instance("a", healthy=False), instance("a", healthy=True)
    assert read(push(sick, well), Discovery()).instances[at("a")] is well
    assert read(push(well, sick), Discovery()).instances[at("a")] is well


@pytest.mark.scenario("S-13")
def test_of_two_equally_healthy_entries_the_first_counts() -> None:
    """Weights of a later duplicate are ignored."""
    first, second = instance("a", weight=1.0), instance("a", weight=2.0)
    assert read(push(first, second), Discovery()).instances[at("a")] is first


def test_unhealthy_ones_are_left_out() -> None:
    """Under healthy_only an unhealthy instance is listed but shunned."""
    news = read(push(instance("a"), instance("b", healthy=False)), Discovery())
    assert news.shunned == at_all("b")
    assert news.offered() == at_all("a")


@pytest.mark.scenario("S-10")
@pytest.mark.parametrize(
    ("discovery", "protect"), [(Discovery(healthy_only=False), None), (Discovery(), True)], ids=["asked", "protect"]
)
def test_health_bits_are_ignored_on_request(discovery: Discovery, *, protect: bool | None) -> None:
    """`healthy_only: false` and the registry's own protection flag make every health bit meaningless."""
    news = read(push(instance("a"), instance("b", healthy=False), protect=protect), discovery)
    assert news.shunned == frozenset()


@pytest.mark.scenario("S-10")
@pytest.mark.parametrize("other", [{"healthy": False}, {"weight": 0.0}, {"enabled": False}])
def test_health_bits_that_would_leave_nobody_are_ignored(other: dict[str, object]) -> None:
    """If all who are switched on are unhealthy, they are used all the same."""
    news = read(push(instance("a", healthy=False), instance("b", **other)), Discovery())
    assert news.shunned == frozenset()
    assert at("a") in news.offered()


def test_switched_off_ones_are_listed_but_not_offered() -> None:
    """Weight 0 and enabled: false keep an address on the list and out of use."""
    news = read(push(instance("a", weight=0.0), instance("b", enabled=False), instance("c")), Discovery())
    assert news.instances.keys() == at_all("abc")
    assert news.offered() == at_all("c")
    assert [is_on(one) for one in news.instances.values()] == [False, False, True]


def test_a_difference_names_added_removed_and_changed() -> None:
    """Each address is in at most one group, in order of the lists."""
    old = read(push(instance("a"), instance("b"), instance("c")), Discovery())
    new = read(push(instance("d"), instance("c", weight=5.0), instance("a")), Discovery())
    assert difference(old, new) == Difference((at("d"),), (at("b"),), (at("c"),))
    assert not difference(old, old)


def test_order_is_no_difference() -> None:
    """The same instances in another order are the same list."""
    old = read(push(instance("a"), instance("b")), Discovery())
    new = read(push(instance("b"), instance("a")), Discovery())
    assert not difference(old, new)


def test_health_bits_heeded_or_not_are_a_difference() -> None:
    """The same entries with and without the protection flag differ in who is shunned."""
    listed = (instance("a"), instance("b", healthy=False))
    old, new = read(push(*listed, protect=True), Discovery()), read(push(*listed), Discovery())
    assert difference(old, new).changed == (at("b"),)


def test_the_first_list_is_all_new() -> None:
    """Against nothing, everything is added."""
    assert difference(EMPTY, read(push(instance("a")), Discovery())).added == (at("a"),)


def everything(*instances: Instance) -> Statement:
    return Statement("orders", View.EVERYTHING, "10.0.0.9:8848", instances, 0.0)


def test_switched_off_is_what_is_listed_and_nowhere_on() -> None:
    """Disabled or without weight; not the one that another entry of the same address switches on."""
    listed = everything(
        instance("a", enabled=False),
        instance("b", weight=0.0),
        instance("c"),
        instance("d", enabled=False),
        instance("d"),
    )
    assert switched_off(listed, Discovery()) == at_all("ab")


def test_what_the_filters_leave_out_is_not_switched_off() -> None:
    """An entry of another cluster is nothing to us."""
    listed = everything(instance("a", enabled=False, cluster="B"), instance("b", enabled=False, cluster="A"))
    assert switched_off(listed, Discovery(clusters=("A",))) == at_all("b")
