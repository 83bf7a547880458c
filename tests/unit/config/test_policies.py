"""From the model to what the core works with."""

from pathlib import Path

from sidecar.cluster import policy
from sidecar.config.policies import service_policy
from tests.support.configs import config, service


def test_the_defaults_of_model_and_core_agree(tmp_path: Path) -> None:
    """A service without a word gets the very policy that the core's tests assume."""
    (found,) = config(tmp_path).services
    assert service_policy(found) == policy.ServicePolicy(
        name="orders", hosts=("orders",), discovery=policy.Discovery(service="orders")
    )


def test_every_key_arrives(tmp_path: Path) -> None:
    """Values of each section, in seconds, bytes and members."""
    body = """\
listen: 127.0.0.1:15101
hosts: [a]
discovery: {service: s, group: g, clusters: [c], healthy_only: false, metadata: {k: v}}
protection: {on_empty: obey, shrink_threshold: 1, confirm: 2s, max_hold: 3s, probe: none, probe_interval: 4s, second_opinion: false}
load_balancing: {policy: random, prefer_cluster: c, slow_start: 0s}
outlier_detection: {max_ejected: 50%, consecutive_5xx: null, probe_backoff: 1s..2s, leaving_header: x-bye, stall_after: null}
retry: {num_retries: 0, retry_on: [], on_ambiguous: close, non_idempotent: never, budget: {percent: 1}, replay_buffer: 0B}
wait_for_instance: {timeout: 0s, max_queued: 0}
timeouts: {connect: 2s, response: null}
circuit_breakers: {max_requests: 1}
keepalive: {idle_timeout: 0s}
host_header: endpoint
limits: {max_headers: 1}
tls: {ca_file: ca.pem, cert_file: /c.pem, key_file: /c.key, server_name: s.internal, verify: false}
via: true
debug_headers: true
required: false"""
    found = service_policy(config(tmp_path, service(body)).services[0])
    assert found == policy.ServicePolicy(
        name="orders",
        listen="127.0.0.1:15101",
        hosts=("a",),
        discovery=policy.Discovery("s", "g", ("c",), False, {"k": "v"}),
        protection=policy.Protection(policy.OnEmpty.OBEY, 1.0, 2.0, 3.0, policy.Probe.NONE, 4.0, False),
        load_balancing=policy.LoadBalancing(policy.Balancing.RANDOM, "c", 0.0),
        outlier_detection=policy.OutlierDetection(
            max_ejected=policy.Share(50.0),
            consecutive_5xx=None,
            probe_backoff=policy.Range(1.0, 2.0),
            leaving_header="x-bye",
            stall_after=None,
        ),
        retry=policy.Retry(
            num_retries=0,
            retry_on=frozenset(),
            on_ambiguous=policy.OnAmbiguous.CLOSE,
            non_idempotent=policy.NonIdempotent.NEVER,
            budget=policy.Budget(percent=1.0),
            replay_buffer=0,
        ),
        wait_for_instance=policy.WaitForInstance(0.0, 0),
        timeouts=policy.Timeouts(connect=2.0, response=None),
        circuit_breakers=policy.CircuitBreakers(max_requests=1),
        keepalive=policy.Keepalive(idle_timeout=0.0),
        host_header=policy.HostHeader.ENDPOINT,
        limits=policy.Limits(max_headers=1),
        tls=policy.Tls(tmp_path / "ca.pem", Path("/c.pem"), Path("/c.key"), "s.internal", False),
        via=True,
        debug_headers=True,
        required=False,
    )


def test_a_static_list_arrives_as_addresses(tmp_path: Path) -> None:
    """In order, v6 in brackets, without a registry name."""
    found = service_policy(config(tmp_path, service("discovery: {static: ['b:2', '[::1]:1']}")).services[0])
    assert found.discovery == policy.Discovery(static=("b:2", "[::1]:1"))


def test_policies_of_equal_files_are_equal(tmp_path: Path) -> None:
    """So that a reload can tell what has not changed."""
    text = service("discovery: {metadata: {a: b}}")
    one, other = (service_policy(config(tmp_path, text).services[0]) for _ in range(2))
    assert one == other
    assert one.discovery == other.discovery
