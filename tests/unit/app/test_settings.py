"""Claims about the configuration as the parts get it."""

from dataclasses import fields
from pathlib import Path

import pytest

from sidecar.app import settings
from sidecar.app.settings import nacos_options, own_addresses, own_hosts, shared_policy, transparent_addresses
from sidecar.config import Config, load
from sidecar.discovery.options import NacosOptions


def _config(folder: Path, text: str) -> Config:
    path = folder / "sidecar.yaml"
    path.write_text(f"version: 1\nservices: [{{name: orders}}]\n{text}")
    return load(path, environ={}).config


def test_defaults_of_both_sides_agree(tmp_path: Path) -> None:
    """A file that says nothing of Nacos yields the options' own defaults."""
    assert nacos_options(_config(tmp_path, "")) == NacosOptions()


def test_every_option_is_taken_from_the_file(tmp_path: Path) -> None:
    """No option of the registry client keeps its default when the file says otherwise."""
    text = """
nacos:
  server_addresses: "n1, n2:9000"
  transport: http
  grpc_port_offset: 2000
  context_path: /registry
  namespace: dev
  username: sidecar
  password_file: secret
  access_key: key
  secret_key: hush
  tls: {server_name: nacos.internal, verify: false}
  app_name: mine
  open_timeout: 6s
  request_timeout: 2s
  liveness_interval: 4s
  reconcile_interval: 40s
  poll_interval: 5s
  reconnect_backoff: 200ms..6s
  snapshot_dir: lists
  snapshot_max_age: 1h
"""
    options = nacos_options(_config(tmp_path, text))
    assert options.server_addresses == ("n1:8848", "n2:9000")
    unchanged = [
        one.name for one in fields(NacosOptions) if getattr(options, one.name) == getattr(NacosOptions(), one.name)
    ]
    assert unchanged == []


@pytest.mark.parametrize(
    ("listen", "own"),
    [
        ("127.0.0.1:7001", {"127.0.0.1:7001"}),
        ("localhost:7001", {"127.0.0.1:7001"}),
        ("0.0.0.0:7001", {"127.0.0.1:7001"}),
        ('"[::1]:7001"', {"[::1]:7001"}),
        ("127.0.0.1:0", set()),
    ],
)
def test_our_own_addresses_are_known_as_instances_would_name_them(tmp_path: Path, listen: str, own: set[str]) -> None:
    """A listener's address is the `ip:port` by which a looping instance would be listed; port 0 is not known before."""
    assert own_addresses(_config(tmp_path, f"listen: {listen}\n")) == own


@pytest.mark.parametrize(
    ("line", "addresses"),
    [
        ("", ()),
        ("transparent: 127.0.0.1:15006", ("127.0.0.1:15006", "[::1]:15006")),
        ("transparent: localhost:15006", ("127.0.0.1:15006", "[::1]:15006")),
        ("transparent: 0.0.0.0:15006", ("0.0.0.0:15006", "[::1]:15006")),
        ("transparent: '[::]:15006'", ("[::]:15006",)),
        ("transparent: 127.0.0.1:0", ("127.0.0.1:0",)),
    ],
)
def test_redirected_connections_of_either_family_find_a_listener(
    tmp_path: Path, line: str, addresses: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of IPv6 come to ::1, where the machine has it."""
    monkeypatch.setattr(settings, "is_local", lambda host: host == "::1")
    assert transparent_addresses(_config(tmp_path, f"{line}\n")) == addresses
    monkeypatch.setattr(settings, "is_local", lambda _: False)
    assert transparent_addresses(_config(tmp_path, f"{line}\n")) == addresses[:1]


@pytest.mark.parametrize(
    ("service", "hosts"),
    [
        ("listen: '127.0.0.1:7001'", ("127.0.0.1:7001", "localhost:7001")),
        ("listen: '0.0.0.0:7001'", ("127.0.0.1:7001", "localhost:7001")),
        ("listen: '[::1]:7001'", ("[::1]:7001",)),
        ("listen: '127.0.0.1:0'", ()),
        ("listen: '127.0.0.1:7001', protocol: tcp", ()),
        ("hosts: [a]", ()),
    ],
)
def test_an_app_may_name_a_service_by_its_listener(tmp_path: Path, service: str, hosts: tuple[str, ...]) -> None:
    """One that takes us for a proxy sends calls to loopback there, too."""
    path = tmp_path / "sidecar.yaml"
    path.write_text(f"version: 1\nservices: [{{name: orders, {service}}}]\n")
    (found,) = load(path, environ={}).config.services
    assert own_hosts(found) == hosts


def test_the_shared_listener_allows_what_any_service_behind_it_allows(tmp_path: Path) -> None:
    """Before routing nobody knows whose limit holds, so the widest of those that can be meant does."""
    path = tmp_path / "sidecar.yaml"
    path.write_text("""
version: 1
services:
  - {name: small, limits: {max_header_bytes: 8KiB, max_headers: 200}, timeouts: {request_head: 50s}}
  - {name: wide, limits: {max_header_bytes: 128KiB, max_headers: 10}}
  - {name: nameless, hosts: [], listen: "127.0.0.1:7001", wait_for_instance: {timeout: 9s}}
  - {name: ledger, protocol: tcp, listen: "127.0.0.1:7002", wait_for_instance: {timeout: 1m}}
""")
    policy = shared_policy(load(path, environ={}).config)
    assert (policy.limits.max_header_bytes, policy.limits.max_headers) == (128 * 1024, 200)
    assert policy.wait_for_instance.timeout == 9.0, "by an address a service without a host can be meant, too"
    assert policy.timeouts.request_head == 50.0
