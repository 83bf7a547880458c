"""The lists of one registry node over HTTP: what it gives its clients, and what it shows administrators.

Each generation tells them elsewhere, and has dropped the paths of older ones, so the paths are asked in turn until one
is there. All that is no list raises: an error is never taken for an empty one.

Measured on 2.3.2 and 3.1.0: the lists of 3.x are of the Nacos cluster DEFAULT unless they are asked for another; clients
may name several at once, administrators may not. Administrators get 404 for a service or cluster that the node does not
know, which is an answer, where clients get an empty list.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sidecar.cluster.instance import Instance
from sidecar.discovery.gradual import begin, gradually, pieces
from sidecar.discovery.http import ABSENT, NOT_HTTP, Http, Reply
from sidecar.discovery.listing import Hosts
from sidecar.discovery.session import STARTING, ErrorAnswer, Listing, ServiceKey, Unreadable

_DEFAULT_CLUSTER = "DEFAULT"
_SIGNATURE = ("ak", "data", "signature")
_UNKNOWN = "is not found!"
_PLAIN, _WRAPPED = ("hosts", "list"), ("data", "instances")
_ALL = {"pageNo": "1", "pageSize": "10000"}

Params = dict[str, str]


def _v1(key: ServiceKey, namespace: str) -> Params:
    return {"serviceName": f"{key.group}@@{key.name}", "namespaceId": namespace}


def _v3(key: ServiceKey, namespace: str) -> Params:
    return {"serviceName": key.name, "groupName": key.group, "namespaceId": namespace}


def _plain(body: dict[str, Any]) -> Any:
    """`hosts` in 1.x, `list` in its catalogue."""
    return body.get("list", body.get("hosts"))


def _wrapped(body: dict[str, Any]) -> Any:
    """An array in `data`, or an object with the array in it; one that counts none leaves it out."""
    data = body.get("data")
    if isinstance(data, dict):
        return data.get("instances", [] if data.get("count") == 0 else None)
    return data


@dataclass(frozen=True, slots=True)
class Page:
    """Where one generation of servers tells a list."""

    path: str
    params: Callable[[ServiceKey, str], Params]
    hosts: Callable[[dict[str, Any]], Any]
    arrays: tuple[str, ...]
    """What `hosts` may be called there."""
    more: Params
    clusters: Callable[[Collection[str]], Iterable[Params]] = lambda _: ({},)
    """One request each; what they bring is one list."""
    tells_unknown: bool = False
    """404 also means that it knows no such service or cluster."""


def _together(clusters: Collection[str]) -> Iterable[Params]:
    """A comma alone is not empty, which would mean DEFAULT, and names none, which means all."""
    return ({"clusterName": ",".join(sorted(clusters)) or ","},)


def _one_by_one(clusters: Collection[str]) -> Iterable[Params]:
    return tuple({"clusterName": cluster} for cluster in sorted(clusters) or (_DEFAULT_CLUSTER,))


OFFERED = (
    Page("/v1/ns/instance/list", _v1, _plain, _PLAIN, {"healthyOnly": "false"}),
    Page("/v3/client/ns/instance/list", _v3, _wrapped, _WRAPPED, {}, _together),
)
"""What clients get; from the oldest on."""

EVERYTHING = (
    Page("/v3/admin/ns/instance/list", _v3, _wrapped, _WRAPPED, {}, _one_by_one, tells_unknown=True),
    Page("/v2/ns/catalog/instances", _v3, _wrapped, _WRAPPED, _ALL),
    Page("/v1/ns/catalog/instances", _v1, _plain, _PLAIN, _ALL, _one_by_one, tells_unknown=True),
)
"""What administrators see, disabled instances among them; from the youngest on."""


class HttpLists:
    """One kind of list at one node; remembers which path that has, and looks for all of them again when it has none."""

    def __init__(self, http: Http, namespace: str, pages: tuple[Page, ...]) -> None:
        self._http = http
        self._namespace = namespace
        self._all = self._pages = pages
        self._one_at_a_time = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<HttpLists {self._pages[0].path} of {self._http!r}>"

    async def read(self, key: ServiceKey, shown: Mapping[str, str], *, clusters: Collection[str] = ()) -> Listing:
        """The list of now, at least of these Nacos clusters; `shown` says who we are. Raises RequestError."""
        for page in self._pages:
            replies = [await self._get(page, key, which, shown) for which in page.clusters(clusters)]
            if not any(_absent(reply, page) for reply in replies):
                break
            self._pages = self._pages[1:] or self._all
        async with self._one_at_a_time:
            return _merged([await _listing(reply, page) for reply in replies])

    async def _get(self, page: Page, key: ServiceKey, which: Params, shown: Mapping[str, str]) -> Reply:
        signature = {name: shown[name] for name in _SIGNATURE if name in shown}
        params = page.params(key, self._namespace) | page.more | which | signature
        return await self._http.get(page.path, params, _headers(shown))


def _headers(shown: Mapping[str, str]) -> dict[str, str]:
    """A token as 2.x and 3.x want it, and as 1.x does."""
    token = shown.get("accessToken")
    return {"accessToken": token, "Authorization": f"Bearer {token}"} if token else {}


def _knows_none(reply: Reply, page: Page) -> bool:
    return page.tells_unknown and reply.status == 404 and _UNKNOWN in reply.text


def _absent(reply: Reply, page: Page) -> bool:
    return reply.status in ABSENT and not _knows_none(reply, page)


async def _listing(reply: Reply, page: Page) -> Listing:
    """Read gradually: it may have thousands of hosts."""
    if _knows_none(reply, page):
        return Listing((), protect=False)
    if reply.status == NOT_HTTP:
        raise Unreadable(str(reply))
    if reply.status != 200:
        raise ErrorAnswer(_code(reply), str(reply))
    hosts = Hosts()
    array = next((name for name in page.arrays if begin(reply.text, name) is not None), page.arrays[0])
    try:
        rest = await gradually(pieces(reply.text, array, hosts.take))
    except ValueError as error:
        raise Unreadable(f"no list: {reply}") from error
    body = rest.document
    if not isinstance(body, dict):
        raise Unreadable(f"no list: {reply}")
    if (code := body.get("code", 0)) not in (0, 200):  # no set: it may be anything
        raise ErrorAnswer(code if isinstance(code, int) else 500, str(reply))
    try:
        hosts.take_all(page.hosts(body), taken=bool(rest.end))
        return Listing(hosts.instances(), protect=body.get("reachProtectionThreshold") is True)
    except ValueError as error:
        raise Unreadable(f"no list: {error}") from error


def _code(reply: Reply) -> int:
    """Of an answer that is no list. A redirection has a number that means something else in a message of Nacos."""
    if reply.status == 503 and "STARTING" in reply.text:
        return STARTING
    return reply.status if reply.status >= 400 else 500


def _merged(listings: list[Listing]) -> Listing:
    if len(listings) == 1:
        return listings[0]
    instances: tuple[Instance, ...] = sum((one.instances for one in listings), ())
    return Listing(instances, protect=any(one.protect for one in listings))
