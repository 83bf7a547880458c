"""The rules as texts."""

import os
import subprocess
from pathlib import Path

import pytest

from sidecar.redirect.rules import IPV4, IPV6, Redirect, chain, redirect_of, script
from tests.support.configs import MINIMAL, config

REDIRECT = Redirect(15006, 65532, (8848, 9848, 19901))


def test_the_chain_spares_whom_it_must() -> None:
    """Loopback, the sidecar's own user, the registry and the admin endpoint, in this order; all else is redirected."""
    assert chain(REDIRECT, IPV4).splitlines() == [
        "*nat",
        ":NACOS_SIDECAR - [0:0]",
        "-A NACOS_SIDECAR -d 127.0.0.0/8 -j RETURN",
        "-A NACOS_SIDECAR -m owner --uid-owner 65532 -j RETURN",
        "-A NACOS_SIDECAR -p tcp -m tcp --dport 8848 -j RETURN",
        "-A NACOS_SIDECAR -p tcp -m tcp --dport 9848 -j RETURN",
        "-A NACOS_SIDECAR -p tcp -m tcp --dport 19901 -j RETURN",
        "-A NACOS_SIDECAR -p tcp -j REDIRECT --to-ports 15006",
        "COMMIT",
    ]


def test_ipv6_differs_by_its_loopback_alone() -> None:
    """The same ports lead to the same listener."""
    assert chain(REDIRECT, IPV6) == chain(REDIRECT, IPV4).replace("127.0.0.0/8", "::1/128")


def test_a_script_fills_the_chain_before_it_is_in_force() -> None:
    """Each family at once, and the jump only where it is missing."""
    lines = script(REDIRECT).splitlines()
    assert lines[0] == "iptables-restore --noflush --wait 5 <<'RULES' &&"
    assert lines[11] == (
        "{ iptables --wait 5 -t nat -C OUTPUT -p tcp -j NACOS_SIDECAR 2> /dev/null || "
        "iptables --wait 5 -t nat -A OUTPUT -p tcp -j NACOS_SIDECAR; } &&"
    )
    again = [line.replace("iptables", "ip6tables").replace("127.0.0.0/8", "::1/128") for line in lines[:11]]
    assert lines[13:24] == again


@pytest.mark.parametrize(
    ("failing", "code"),
    [((), 0), (("ip6tables-restore", "ip6tables"), 0), (("iptables-restore",), 1), (("iptables",), 1)],
)
def test_a_script_ends_as_apply_does(tmp_path: Path, failing: tuple[str, ...], code: int) -> None:
    """A machine without IPv6 fails no init container, and one without rules for IPv4 does."""
    for tool in ("iptables", "iptables-restore", "ip6tables", "ip6tables-restore"):
        stand_in = tmp_path / tool
        stand_in.write_text(f"#!/bin/sh\ncat > /dev/null\nexit {int(tool in failing)}\n")
        stand_in.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(["sh", "-c", script(REDIRECT)], env={"PATH": path}, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == code


@pytest.mark.parametrize(
    ("more", "ports"),
    [
        ("", (8848, 9848, 19901)),
        ("nacos: {server_addresses: 'a:80,b:8848', grpc_port_offset: 7}\n", (80, 87, 8848, 8855, 19901)),
        ("admin: {listen: 127.0.0.1:0}\n", (8848, 9848)),
    ],
)
def test_the_ports_are_those_of_the_configuration(tmp_path: Path, more: str, ports: tuple[int, ...]) -> None:
    """Of every registry node its HTTP and its gRPC port; a port that nobody knows before it is bound cannot be spared."""
    found = config(tmp_path, f"{MINIMAL}transparent: 127.0.0.1:15006\n{more}")
    assert redirect_of(found, 7) == Redirect(15006, 7, ports)


@pytest.mark.parametrize("line", ["", "transparent: null\n", "transparent: 127.0.0.1:0\n"])
def test_without_a_port_there_is_nothing_to_redirect_to(tmp_path: Path, line: str) -> None:
    """Neither without the listener, nor with any free port."""
    assert redirect_of(config(tmp_path, MINIMAL + line), 7) is None
