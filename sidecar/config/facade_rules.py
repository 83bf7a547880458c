"""Rules about the façade: its two ports, whom it stands for, and what it may name to the app."""

from collections.abc import Iterator

from sidecar.config.address import Address
from sidecar.config.locate import Locator
from sidecar.config.model import Config
from sidecar.config.report import Finding, Loc

_LISTEN: Loc = ("facade", "listen")
FACADE_GRPC: Loc = ("facade", "grpc_port_offset")


def facade_addresses(config: Config) -> Iterator[tuple[Loc, Address]]:
    """Both of its ports, as far as they are fixed."""
    facade = config.facade
    if facade is None:
        return
    yield _LISTEN, facade.listen
    if facade.listen.port and facade.grpc_port_offset:
        yield FACADE_GRPC, Address(facade.listen.host, facade.listen.port + facade.grpc_port_offset)


def the_facade_has_two_ports(config: Config, _written: Config, _locator: Locator) -> Iterator[Finding]:
    """HTTP on one, gRPC on another, as clients look for them."""
    facade = config.facade
    if facade is None:
        return
    if not facade.grpc_port_offset:
        yield Finding(FACADE_GRPC, "HTTP and gRPC cannot share a port: leave it at 1000, which clients expect")
    elif facade.listen.port + facade.grpc_port_offset > 65_535:
        port = facade.listen.port + facade.grpc_port_offset
        yield Finding(
            _LISTEN, f"its gRPC port would be {port}: choose a lower port", related=(FACADE_GRPC, ("facade",))
        )


def the_facade_stands_for_others(config: Config, _written: Config, _locator: Locator) -> Iterator[Finding]:
    """The servers behind it are the real ones; itself among them would be a loop."""
    for index, server in enumerate(config.nacos.server_addresses if config.facade is not None else ()):
        if any(server.collides(address) for loc, address in facade_addresses(config) if loc == _LISTEN):
            loc: Loc = ("nacos", "server_addresses", index)
            yield Finding(loc, f"{server} is the façade itself: name the real servers", related=(loc[:2], ("facade",)))


def the_sidecar_has_an_address_to_name(config: Config, _written: Config, _locator: Locator) -> Iterator[Finding]:
    """With `lists: sidecar` the app calls what the list says: a service's own listener, at an IPv4 address."""
    if config.facade is None or config.facade.lists != "sidecar":
        return
    for index, service in enumerate(config.services):
        loc: Loc = ("services", index, "listen")
        if service.discovery.static is not None:
            continue
        if service.listen is None:
            message = "facade.lists: sidecar names a service's own listener to the app: set 'listen', or lists: guarded"
            yield Finding(loc, message, related=(loc[:2], ("facade", "lists")))
        elif ":" in service.listen.host and not service.listen.is_wildcard:
            yield Finding(loc, "facade.lists: sidecar names it to the app, whose clients take IPv4 only: use 127.0.0.1")
