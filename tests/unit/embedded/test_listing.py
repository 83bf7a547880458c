"""Derived lists follow the rules of the Java server."""

import json

import pytest

from sidecar.embedded.listing import derive
from sidecar.embedded.model import Instance, ServiceName

ORDERS = ServiceName("orders")
UP, DOWN = Instance("10.0.0.1", 80), Instance("10.0.0.2", 80, healthy=False)
OFF = Instance("10.0.0.3", 80, enabled=False)
ZERO = Instance("10.0.0.4", 80, weight=0.0)
EAST = Instance("10.0.0.5", 80, cluster="east")


def test_disabled_ones_are_left_out_and_weight_zero_and_unhealthy_stay() -> None:
    """Only `enabled: false` hides an instance from subscribers."""
    assert derive(ORDERS, [UP, DOWN, OFF, ZERO]).hosts == (UP, DOWN, ZERO)


def test_clusters_choose_and_none_means_all() -> None:
    """A comma list of clusters keeps the instances of those clusters."""
    assert derive(ORDERS, [UP, EAST], clusters="east,west").hosts == (EAST,)
    assert derive(ORDERS, [UP, EAST]).hosts == (UP, EAST)


def test_healthy_only_leaves_unhealthy_ones_out() -> None:
    """Unless a threshold brings them back."""
    assert derive(ORDERS, [UP, DOWN], healthy_only=True).hosts == (UP,)
    assert len(derive(ORDERS, [UP, DOWN], healthy_only=True, threshold=0.5).hosts) == 2


@pytest.mark.parametrize(
    ("healthy", "threshold", "protected"),
    [(0, 0.0, True), (1, 0.0, False), (1, 0.5, True), (2, 0.5, False), (0, -1.0, True), (0, None, False)],
)
def test_at_or_below_the_threshold_everyone_is_called_healthy(
    healthy: int, threshold: float | None, *, protected: bool
) -> None:
    """Of two instances: `healthy / 2 <= threshold` rewrites the list, a service without threshold never."""
    instances = [Instance("10.0.0.1", port, healthy=port < healthy) for port in range(2)]
    listing = derive(ORDERS, instances, threshold=threshold)
    assert listing.protected is protected
    assert [host.healthy for host in listing.hosts] == [protected or port < healthy for port in range(2)]


def test_an_empty_list_is_never_protected() -> None:
    """There is nobody to rewrite."""
    assert derive(ORDERS, [OFF], threshold=1.0).protected is False


def test_the_fast_json_is_the_plain_one() -> None:
    """Bytes put together from the cache parse to the object that is written field by field."""
    listing = derive(ORDERS, [UP, EAST])
    assert json.loads(listing.as_json(17)) == listing.as_dict(17)
    assert listing.as_dict(17)["lastRefTime"] == 17
    assert listing.as_dict(17)["hosts"][0]["instanceId"] == "10.0.0.1#80#DEFAULT#DEFAULT_GROUP@@orders"
