"""The configuration, as the constructors of the parts want it."""

from pathlib import Path

from pydantic import SecretStr

from sidecar.cluster.policy import Keepalive, Limits, ServicePolicy, Timeouts
from sidecar.config import Config
from sidecar.discovery.credentials import AccessKey, Secret, User
from sidecar.discovery.options import NacosOptions, Tls, Transport

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
    listeners = [config.listen, *(service.listen for service in config.services)]
    return frozenset(
        f"[{host}]:{address.port}" if ":" in host else f"{host}:{address.port}"
        for address in listeners
        if address is not None and address.port
        for host in _WILDCARDS.get(address.host, ("127.0.0.1" if address.host == "localhost" else address.host,))
    )


def shared_policy(config: Config) -> ServicePolicy:
    """What holds on the shared listener before the Host has named a service: the most that any service there allows."""
    services = [service for service in config.services if service.hosts] or config.services
    return ServicePolicy(
        name="-",
        limits=Limits(
            max_header_bytes=max(service.limits.max_header_bytes for service in services),
            max_headers=max(service.limits.max_headers for service in services),
        ),
        timeouts=Timeouts(request_head=max(service.timeouts.request_head for service in services)),
        keepalive=Keepalive(app_idle_timeout=max(service.keepalive.app_idle_timeout for service in services)),
    )
