"""Rules about the registry: what no Nacos could be asked, or be reached by, though each key alone may be so."""

from collections.abc import Iterator

from sidecar.config.locate import Locator
from sidecar.config.model import Config
from sidecar.config.report import Finding

_HIGHEST = 65_535


def a_group_has_a_key_of_its_own(config: Config, _written: Config, _locator: Locator) -> Iterator[Finding]:
    """`GROUP@@name`, as Nacos writes it in its logs and its older interface, is the name of no service."""
    for index, service in enumerate(config.services):
        group, mark, name = service.discovery.service.partition("@@")
        if mark:
            message = f"'{group}@@{name}' is a group and a name: say service: {name}, and group: {group} beside it"
            yield Finding(("services", index, "discovery", "service"), message)


def a_server_has_two_ports(config: Config, _written: Config, _locator: Locator) -> Iterator[Finding]:
    """HTTP on the one that is written, gRPC on the one that is counted from it."""
    offset = config.nacos.grpc_port_offset
    for index, server in enumerate(config.nacos.server_addresses):
        if server.port + offset > _HIGHEST:
            message = f"the gRPC port of {server} would be {server.port + offset}: lower nacos.grpc_port_offset"
            servers = ("nacos", "server_addresses")
            yield Finding((*servers, index), message, related=(servers, ("nacos", "grpc_port_offset")))
