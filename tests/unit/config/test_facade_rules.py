"""Rules about the façade."""

from pathlib import Path

import pytest

from tests.support.configs import MINIMAL, loaded, refusal, service


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            service("listen: 127.0.0.1:18848") + "facade: {}\n",
            "sidecar.yaml:4:13: services[0].listen: 127.0.0.1:18848 is taken by facade.listen: choose another port",
        ),
        (
            service("listen: 127.0.0.1:19848") + "facade: {}\n",
            "sidecar.yaml:4:13: services[0].listen: 127.0.0.1:19848 is taken by facade.grpc_port_offset: choose another port",
        ),
        (
            MINIMAL + "facade: {grpc_port_offset: 0}\n",
            (
                "sidecar.yaml:3:28: facade.grpc_port_offset: HTTP and gRPC cannot share a port: "
                "leave it at 1000, which clients expect"
            ),
        ),
        (
            MINIMAL + "facade: {listen: 127.0.0.1:65000}\n",
            "sidecar.yaml:3:18: facade.listen: its gRPC port would be 66000: choose a lower port",
        ),
        (
            MINIMAL + "facade: {}\nnacos: {server_addresses: localhost:18848}\n",
            ("sidecar.yaml:4:27: nacos.server_addresses: localhost:18848 is the façade itself: name the real servers"),
        ),
        (
            MINIMAL + "facade: {lists: sidecar}\n",
            (
                "sidecar.yaml:2:12: services[0]: facade.lists: sidecar names a service's own listener to the app: "
                "set 'listen', or lists: guarded"
            ),
        ),
        (
            service("listen: '[::1]:15101'") + "facade: {lists: sidecar}\n",
            (
                "sidecar.yaml:4:13: services[0].listen: facade.lists: sidecar names it to the app, "
                "whose clients take IPv4 only: use 127.0.0.1"
            ),
        ),
    ],
)
def test_what_cannot_work_is_refused(tmp_path: Path, text: str, line: str) -> None:
    """With the place and the remedy."""
    assert refusal(tmp_path, text) == [line]


@pytest.mark.parametrize(
    "text",
    [
        MINIMAL + "facade: {}\n",
        service("listen: 127.0.0.1:15101") + "facade: {lists: sidecar, listen: 127.0.0.1:0}\n",
        service("discovery: {static: ['127.0.0.1:1']}") + "facade: {lists: sidecar}\n",
    ],
)
def test_what_works_passes(tmp_path: Path, text: str) -> None:
    """Services with fixed instances are not in the registry, and need no address for its clients."""
    assert refusal(tmp_path, text) == []


def test_off_loopback_it_is_warned_about_once(tmp_path: Path) -> None:
    """Not for each of its ports."""
    (problem,) = loaded(tmp_path, MINIMAL + "facade: {listen: 0.0.0.0:18848}\n").problems
    assert "0.0.0.0:18848 can be reached from other hosts" in str(problem)
