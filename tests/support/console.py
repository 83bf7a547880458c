"""What an operator does in the console of a real server."""

from tests.support.nacos_server import NacosServer

_SERVICE = {"3.1.0": "/v3/admin/ns/service", "2.3.2": "/v2/ns/service"}
_INSTANCE = {"3.1.0": "/v3/admin/ns/instance", "2.3.2": "/v1/ns/instance"}


def set_threshold(server: NacosServer, service: str, threshold: float) -> None:
    """The protectThreshold of a service; it shows in queries, and in pushes once something else has changed."""
    selector = {"metadata": "{}", "selector": '{"type":"none"}'}
    _put(server, _SERVICE[server.version], service, {**selector, "protectThreshold": str(threshold)})


def edit(
    server: NacosServer, service: str, port: int, *, weight: float = 1.0, enabled: bool = True, ephemeral: bool = True
) -> None:
    """Weight and switch of an instance on loopback; they survive its next registration."""
    instance = {"clusterName": "DEFAULT", "ip": "127.0.0.1", "port": str(port), "ephemeral": str(ephemeral).lower()}
    state = {"weight": str(weight), "enabled": str(enabled).lower()}
    _put(server, _INSTANCE[server.version], service, instance | state)


def _put(server: NacosServer, path: str, service: str, form: dict[str, str]) -> None:
    name = {"serviceName": service, "groupName": "DEFAULT_GROUP", "namespaceId": "public"}
    status, body = server.call("PUT", path, name | form)
    if status != 200:
        raise RuntimeError(f"{server!r} answered {status}: {body!r}")
