"""What the proxies are given to do: one row of the comparison each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tests.bench.ground import Ground
from tests.peers.peer import SERVICE, Services

Setting = Literal["one", "many", "relay"]
"""One service of three instances · eight of twenty, of which two refuse · one whose connections are carried."""

MANY = 8

_SEVERAL_HOSTS = """\
local requests, turn = {{}}, 0
function init(args)
    for number = 1, {count} do
        requests[number] = wrk.format("GET", "/orders/7", {{Host = "service-" .. (number - 1)}})
    end
end
function request()
    turn = turn % {count} + 1
    return requests[turn]
end
"""

_UPLOAD = """\
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/octet-stream"
wrk.body = string.rep("x", {size})
"""


@dataclass(frozen=True, slots=True)
class Work:
    """A row."""

    key: str
    title: str
    connections: int = 32
    path: str = "/orders/7"
    script: str = ""
    """For wrk."""
    close: bool = False
    """A connection is used once."""
    idle: int = 0
    """Connections that were used and are now kept open beside the busy ones."""
    setting: Setting = "one"
    large: bool = False
    """Mostly bytes: it has a bar of its own."""


def hosts(count: int) -> str:
    """A script that calls as many services in turn."""
    return _SEVERAL_HOSTS.format(count=count)


def _upload(size: int) -> str:
    return _UPLOAD.format(size=size)


WORK: Sequence[Work] = (
    Work("get-1", "60 B answer, 1 connection", connections=1),
    Work("get-32", "60 B answer, 32 connections"),
    Work("get-256", "60 B answer, 256 connections", connections=256),
    Work("get-16k", "16 KiB answer", path="/bytes/16k"),
    Work("get-1m", "1 MiB answer", path="/bytes/1m", large=True),
    Work("post-1k", "1 KiB POST", path="/upload", script=_upload(1024)),
    Work("post-100k", "100 KiB POST", path="/upload", script=_upload(100 * 1024)),
    Work("post-10m", "10 MiB POST", connections=8, path="/upload", script=_upload(10 * 1024 * 1024), large=True),
    Work("close", "a connection for each request", close=True),
    Work("idle-2000", "2 000 idle connections, 32 busy ones", idle=2000),
    Work("many", "8 services of 20 instances, two of them refuse", script=hosts(MANY), setting="many"),
    Work("relay", "TCP relay: 1 MiB answer", path="/bytes/1m", setting="relay", large=True),
)

MAIN = "get-32"
"""The row that has the first bar, and that `make bench-quick` measures."""

PLACES: Mapping[Setting, str] = {
    "one": "one service of three instances",
    "many": "eight services of twenty instances, at two of which nobody listens",
    "relay": "one service of three instances, as TCP",
}


def services(setting: Setting, ground: Ground) -> Services:
    """Whom the proxies have behind them."""
    if setting == "many":
        return {f"service-{number}": ground.instances(20, first=1 + 20 * number, refusing=2) for number in range(MANY)}
    return {SERVICE: ground.instances(3)}
