"""Redirected connections without a redirect: the test says where each was meant to go, and whose it is."""

from collections.abc import Callable
from random import Random

from sidecar.proxy.forward import Forward
from sidecar.proxy.ourselves import Ourselves
from sidecar.proxy.redirected import Place
from sidecar.proxy.transparent import POLICY, TransparentEntrance
from sidecar.proxy.upstream import Upstream
from tests.support.scripted_peer import ScriptedPeer, Talk
from tests.support.stack import MakeStack, Stack


class Kernel:
    """What it says of the next connections. The fixture `kernel` puts it in the place of the machine's."""

    def __init__(self) -> None:
        self.meant: Place | None = None
        self.owner: int | None = -1

    def to(self, port: int) -> None:
        """They were meant for this port of loopback."""
        self.meant = Place("127.0.0.1", port)


def entrance(
    proxy: Stack, upstream: Upstream | None = None, *, own: Callable[[], set[int]] = set
) -> TransparentEntrance:
    """As the application makes it, for the only service."""
    strangers = Forward(proxy.runtime, Random(1), Ourselves(set), POLICY)
    services = {"orders": upstream or proxy.upstream}
    return TransparentEntrance(proxy.runtime, proxy.addresses, services, strangers, Ourselves(own))


async def behind(stack: MakeStack, *peers: ScriptedPeer, **sections: object) -> Stack:
    """A service with these instances, and the transparent listener."""
    proxy = stack(**sections)
    proxy.listener.entrance = entrance(proxy)
    await proxy.open(*(peer.port for peer in peers))
    return proxy


async def greeting(talk: Talk) -> None:
    """A server that speaks first, and ends after one more word."""
    await talk.send(b"220 ready\r\n")
    await talk.send(b"250 " + await talk.reader.readline())
    await talk.until_closed()
