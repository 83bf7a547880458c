"""The configuration, as the constructors of the parts want it."""

from pathlib import Path

from pydantic import SecretStr

from sidecar.cluster.policy import Keepalive, Limits, Protocol, ServicePolicy, Timeouts, WaitForInstance
from sidecar.config import Config
from sidecar.config.address import Address
from sidecar.config.service import Service
from sidecar.discovery.credentials import AccessKey, Secret, User
from sidecar.discovery.options import NacosOptions, Tls, Transport
from sidecar.proxy.ourselves import is_local

_WILDCARDS = {"0.0.0.0": ("127.0.0.1",), "::": ("127.0.0.1", "::1")}


def nacos_options(config: Config) -> NacosOptions:
    """The `nacos:` section."""
    nacos = config.nacos
    return NacosOptions(
        server_addresses=tuple(str(address) for address in nacos.server_addresses),
        transport=Transport(nacos.transport),
        grpc_port_offset=nacos.grpc_port_offset,
        context_path=nacos.context_path,
        namespace=nacos.namespace,
        user=User(nacos.username, _secret(nacos.password, nacos.password_file)) if nacos.username else None,
        access_key=AccessKey(nacos.access_key, _secret(nacos.secret_key, nacos.secret_key_file))
        if nacos.access_key
        else None,
        tls=Tls(**dict(nacos.tls)) if nacos.tls else None,
        app_name=nacos.app_name,
        open_timeout=nacos.open_timeout,
        request_timeout=nacos.request_timeout,
        liveness_interval=nacos.liveness_interval,
        reconcile_interval=nacos.reconcile_interval,
        poll_interval=nacos.poll_interval,
        reconnect_backoff=nacos.reconnect_backoff,
        snapshot_dir=nacos.snapshot_dir,
        snapshot_max_age=nacos.snapshot_max_age,
    )


def _secret(text: SecretStr | None, file: Path | None) -> Secret:
    return Secret(text.get_secret_value() if text else None, file)


def own_addresses(config: Config) -> frozenset[str]:
    """`ip:port` of every listener: an instance at one of these is ourselves, and calling it would be a loop."""
    listeners = [config.listen, config.transparent, *(service.listen for service in config.services)]
    return frozenset(one for address in listeners for one in _reached_at(address))


def transparent_addresses(config: Config) -> tuple[str, ...]:
    """Where redirected connections arrive: the kernel brings those of IPv6 to `::1`, whatever those of IPv4 go to."""
    address = config.transparent
    if address is None:
        return ()
    own = Address("127.0.0.1", address.port) if address.host == "localhost" else address
    if ":" in own.host or not own.port or not is_local("::1"):
        return (str(own),)
    return str(own), str(Address("::1", own.port))


def own_hosts(service: Service) -> tuple[str, ...]:
    """How an app names a service on the shared listener that it knows by the service's own listener.

    One that takes us for its proxy sends us such calls too, those to loopback included.
    """
    if service.listen is None or service.protocol is not Protocol.HTTP1:
        return ()
    reached = _reached_at(service.listen)
    return (*reached, *(f"localhost:{service.listen.port}" for one in reached if one.startswith("127.0.0.1:")))


def _reached_at(listener: Address | None) -> tuple[str, ...]:
    if listener is None or not listener.port:
        return ()
    hosts = _WILDCARDS.get(listener.host, ("127.0.0.1" if listener.host == "localhost" else listener.host,))
    return tuple(str(Address(host, listener.port)) for host in hosts)


def shared_policy(config: Config) -> ServicePolicy:
    """What holds on the shared listener before the service is known: the most that any service there allows."""
    services = [service for service in config.services if service.protocol is Protocol.HTTP1] or config.services
    return ServicePolicy(
        name="-",
        limits=Limits(
            max_header_bytes=max(service.limits.max_header_bytes for service in services),
            max_headers=max(service.limits.max_headers for service in services),
        ),
        timeouts=Timeouts(request_head=max(service.timeouts.request_head for service in services)),
        keepalive=Keepalive(app_idle_timeout=max(service.keepalive.app_idle_timeout for service in services)),
        wait_for_instance=WaitForInstance(timeout=max(service.wait_for_instance.timeout for service in services)),
    )
