"""What a request asks for."""

from sidecar.cluster.instance import Instance
from sidecar.facade.wanted import Wanted

SICK = Instance("10.0.0.1", 80, healthy=False, cluster="B")


def test_clusters_select_and_health_only_where_it_is_asked_for() -> None:
    """As a registry selects."""
    assert Wanted().takes(SICK)
    assert Wanted(frozenset({"B"})).takes(SICK)
    assert not Wanted(frozenset({"A"})).takes(SICK)
    assert not Wanted(healthy_only=True).takes(SICK)


def test_what_is_switched_off_is_never_added() -> None:
    """Disabled, or of no weight: the operator's order."""
    assert not Wanted().takes(Instance("10.0.0.1", 80, enabled=False))
    assert not Wanted().takes(Instance("10.0.0.1", 80, weight=0.0))
