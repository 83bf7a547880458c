"""Defaults and derived values."""

from pathlib import Path

from sidecar.cluster.policy import RetryOn
from sidecar.config.merge import in_force
from sidecar.config.model import Config
from sidecar.config.service import Service, ServiceDefaults
from tests.support.configs import config, service


def merged(defaults: dict[str, object], own: dict[str, object]) -> Service:
    values = {"version": 1, "defaults": defaults, "services": [{"name": "orders", **own}]}
    return in_force(Config.model_validate(values)).services[0]


def test_defaults_merge_key_by_key() -> None:
    """A service's own key wins, its neighbours come from the defaults, the rest is built in."""
    found = merged(
        {"retry": {"num_retries": 5, "budget": {"percent": 1}}, "via": True},
        {"retry": {"num_retries": 1, "budget": {"min_per_second": 3}}},
    )
    assert (found.retry.num_retries, found.retry.budget.percent, found.retry.budget.min_per_second) == (1, 1.0, 3.0)
    assert found.via
    assert found.timeouts.connect == 1.0


def test_lists_replace_and_mappings_merge() -> None:
    """Metadata of both are asked for; words of `retry_on` are the service's alone."""
    found = merged(
        {"retry": {"retry_on": ["stall"]}, "discovery": {"metadata": {"a": "1", "b": "1"}, "clusters": ["x"]}},
        {"retry": {"retry_on": ["connect-failure"]}, "discovery": {"metadata": {"b": "2"}}},
    )
    assert found.retry.retry_on == (RetryOn.CONNECT_FAILURE,)
    assert found.discovery.metadata == {"a": "1", "b": "2"}
    assert found.discovery.clusters == ("x",)


def test_a_null_of_the_service_wins_where_null_is_a_value() -> None:
    """Elsewhere it leaves the default of the file in force."""
    found = merged(
        {"load_balancing": {"prefer_cluster": "z"}, "via": True},
        {"load_balancing": {"prefer_cluster": None}, "via": None},
    )
    assert found.load_balancing.prefer_cluster is None
    assert found.via


def test_a_static_service_takes_no_discovery_from_the_defaults(tmp_path: Path) -> None:
    """A group for all the others is no mistake of this one."""
    text = service("discovery: {static: ['10.0.0.1:80']}") + "defaults: {discovery: {group: G}}\n"
    assert config(tmp_path, text).services[0].discovery.group == "DEFAULT_GROUP"


def test_the_registry_name_and_the_hosts_follow_the_name() -> None:
    """Each once, without regard to case, and only what can be a host."""
    assert merged({}, {}).discovery.service == "orders"
    assert merged({}, {}).hosts == ("orders",)
    assert merged({}, {"discovery": {"service": "order-service"}}).hosts == ("orders", "order-service")
    assert merged({}, {"discovery": {"service": "ORDERS"}}).hosts == ("orders",)
    assert merged({}, {"discovery": {"service": "providers:com.x.Y:1.0:"}}).hosts == ("orders",)
    assert merged({}, {"hosts": []}).hosts == ()
    assert merged({}, {"discovery": {"static": ["a:1"]}}).discovery.service == ""


def test_a_tcp_service_has_no_hosts_and_a_longer_idle_time() -> None:
    """Unless its own or the defaults' key says otherwise."""
    assert merged({}, {"protocol": "tcp"}).hosts == ()
    assert merged({}, {"protocol": "tcp"}).timeouts.idle == 3600.0
    assert merged({"timeouts": {"idle": "1m"}}, {"protocol": "tcp"}).timeouts.idle == 60.0


def test_after_merging_the_defaults_are_empty() -> None:
    """So that merging twice changes nothing."""
    once = in_force(Config.model_validate({"version": 1, "defaults": {"via": True}, "services": [{"name": "a"}]}))
    assert once.defaults == ServiceDefaults()
    assert in_force(once) == once
