"""What a façade is made of, as the configuration and the services have it.

A module of its own, since importing it loads gRPC's server side: `facades` does that when a façade is wanted.
"""

import functools
from collections.abc import Mapping

from sidecar.app.services import Service
from sidecar.app.settings import nacos_options
from sidecar.clock import Rng
from sidecar.config import Config
from sidecar.discovery import tls
from sidecar.discovery.options import NacosOptions
from sidecar.facade.facade import Address, Facade
from sidecar.facade.names import Named
from sidecar.facade.offers import Lists, Ours
from sidecar.facade.registry import Node, Registry, Tls, Trusted

__all__ = ["Address", "Facade", "own_services", "registry"]

_LOOPBACK = {"localhost": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}


def registry(options: NacosOptions, rng: Rng) -> Registry:
    """The servers of the `nacos:` section, and how they are spoken to."""
    wanted = options.tls
    if wanted is None:
        return Registry(options.servers, None, rng=rng)
    ports = {(server.host, server.port): server.grpc_port for server in options.servers}

    async def trust(node: Node) -> Trusted:
        return await tls.trust(wanted, node.host, ports[node.host, node.port])

    context = functools.partial(tls.context, wanted) if wanted.http else None
    spoken = Tls(trust, context, wanted.server_name)
    return Registry(options.servers, spoken, rng=rng)


def own_services(
    config: Config, services: Mapping[str, Service], bound: Mapping[str, str]
) -> tuple[dict[Named, list[Ours]], Lists]:
    """The services that the app is told of by us, by their names in the registry; `bound` are listeners by name."""
    lists = Lists(config.facade.lists) if config.facade is not None else Lists.GUARDED
    found: dict[Named, list[Ours]] = {}
    for name, service in services.items():
        discovery = service.cluster.policy.discovery
        if not discovery.static:
            named = Named.of(discovery.service or name, discovery.group, nacos_options(config).namespace)
            found.setdefault(named, []).append(Ours(service.cluster, _address(bound.get(name))))
    return found, lists


def _address(bound: str | None) -> tuple[str, int] | None:
    """Where the app can call it: clients of Nacos take an IPv4 literal."""
    host, _, port = (bound or "").rpartition(":")
    host = _LOOPBACK.get(host.strip("[]"), host)
    return (host, int(port)) if host and "[" not in host else None
