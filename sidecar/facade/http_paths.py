"""Which requests of the HTTP interface are about lists, or about the app itself, and what they say. Pure.

Each generation of servers has paths of its own; what stands before them (`/nacos`) may be configured.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sidecar.facade import answers
from sidecar.facade.http1 import Request
from sidecar.facade.names import Named, address_of, listed
from sidecar.facade.wanted import Wanted

CACHE_MILLIS = 1000
"""How long a client of 1.x may go by a list: it hears of changes by asking again, and asks us."""

DEFAULT_CLUSTER = "DEFAULT"


@dataclass(frozen=True, slots=True)
class ListPath:
    """One path that tells a list, and where in its answer that stands."""

    path: tuple[str, ...]
    clusters: str
    """The parameter that names Nacos clusters."""
    default: str = ""
    """What it is taken for where it is not given; empty = every cluster."""
    polled: bool = False
    """Clients ask it again and again, as often as the answer before told them to."""
    alone: Callable[[Named, str, str, int], str] | None = None
    """The answer made of (service, clusters, hosts, lastRefTime), for when no server can be asked; None = there is none."""


def _v1(named: Named, clusters: str, hosts: str, ref_time: int) -> str:
    return answers.service_info(named, clusters, hosts, ref_time, grouped=True)


def _v2(named: Named, clusters: str, hosts: str, ref_time: int) -> str:
    return _wrapped(answers.service_info(named, clusters, hosts, ref_time))


def _v3(_named: Named, _clusters: str, hosts: str, _ref_time: int) -> str:
    return _wrapped(f"[{hosts}]")


def _wrapped(data: str) -> str:
    return f'{{"code":0,"message":"success","data":{data}}}'


LISTS: Mapping[str, ListPath] = {
    "/v1/ns/instance/list": ListPath(("hosts",), "clusters", polled=True, alone=_v1),
    "/v2/ns/instance/list": ListPath(("data", "hosts"), "clusterName", polled=True, alone=_v2),
    "/v3/client/ns/instance/list": ListPath(("data",), "clusterName", DEFAULT_CLUSTER, alone=_v3),
    "/v3/admin/ns/instance/list": ListPath(("data",), "clusterName", DEFAULT_CLUSTER),
    "/v2/ns/catalog/instances": ListPath(("data", "instances"), "-"),
    "/v1/ns/catalog/instances": ListPath(("list",), "clusterName", DEFAULT_CLUSTER),
}
"""What clients are told, and what administrators see; by how the path ends."""

_INSTANCE = re.compile(r"/v[123](?:/client)?/ns/instance(?:/beat)?$")
_SERVERS = re.compile(r"/serverlist$")
_HEALTH = re.compile(r"/v[12]/ns/operator/metrics$")


@dataclass(frozen=True, slots=True)
class ListRequest:
    """A question for a list of one service."""

    kind: ListPath
    named: Named
    clusters: str
    wanted: Wanted
    target: str
    """Without the port to which the server would push lists past us."""
    key: str
    """Equal for questions with the same answer."""


def list_request(request: Request) -> ListRequest | None:
    """What list is asked for; None where none is."""
    found = next((path for path in LISTS if request.path.endswith(path)), None)
    if found is None or request.method != "GET":
        return None
    kind, params = LISTS[found], dict(reversed(request.query))
    if not params.get("serviceName"):
        return None
    clusters = params.get(kind.clusters) or kind.default
    return ListRequest(
        kind,
        Named.of(params["serviceName"], params.get("groupName"), params.get("namespaceId")),
        clusters,
        Wanted(listed(clusters), healthy_only=params.get("healthyOnly", "").lower() == "true"),
        target=_without(request.target, "udpport"),
        key=_without(request.target, "udpport", "clientip"),
    )


@dataclass(frozen=True, slots=True)
class Registration:
    """The app's word about an instance of its own."""

    named: Named
    address: str
    withdrawn: bool


def is_registration(request: Request) -> bool:
    """Whether it may be one: then its body is to be read, too."""
    return request.method in {"POST", "PUT", "DELETE"} and _INSTANCE.search(request.path) is not None


def registration(request: Request, form: Mapping[str, str]) -> Registration | None:
    """The instance that is registered, kept alive or taken back; None where that cannot be told."""
    params = {**form, **dict(reversed(request.query))}
    name, ip, port = params.get("serviceName"), params.get("ip"), params.get("port")
    if not (name and ip and port):
        return None
    named = Named.of(name, params.get("groupName"), params.get("namespaceId"))
    return Registration(named, address_of(ip, port), withdrawn=request.method == "DELETE")


def asks_for_servers(request: Request) -> bool:
    """Clients that are given an address server ask it for the servers: that is us alone."""
    return request.method in {"GET", "HEAD"} and _SERVERS.search(request.path) is not None


def asks_for_health(request: Request) -> bool:
    """Clients of 1.x ask whether their registry works: lists do, with servers or without."""
    return request.method == "GET" and _HEALTH.search(request.path) is not None


def _without(target: str, *names: str) -> str:
    """The target less these parameters, given in lower case; all else stays to the byte."""
    path, mark, query = target.partition("?")
    kept = [part for part in query.split("&") if part.partition("=")[0].lower() not in names]
    return f"{path}{mark}{'&'.join(kept)}"
