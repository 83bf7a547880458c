"""The ways in: what the sidecar's file says, and what the app is given, its code and its jars untouched."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.apps.app import SERVICE
from tests.apps.stacks import Balancer, Stack
from tests.support.ports import free_port

_GRPC = 1000
"""Distance of a Nacos server's gRPC port from its HTTP port."""


class Trouble(enum.Enum):
    """What goes wrong in a row, and who could mend it."""

    ADDRESSES = "calls go to addresses that are gone: whoever carries the calls can send them elsewhere"
    LISTS = "the app's own list is empty, and it calls nobody: only whoever gives it the list can help"


@dataclass(frozen=True, slots=True)
class Doors:
    """The ports of one sidecar, known before it starts."""

    admin: int = field(default_factory=free_port)
    own: int = field(default_factory=free_port)
    shared: int = field(default_factory=free_port)
    transparent: int = field(default_factory=free_port)
    facade: int = field(default_factory=lambda: free_port((0, _GRPC)))


class Way:
    """One way in; this one is none: the app calls the providers directly."""

    name = "direct"
    cures: frozenset[Trouble] = frozenset()
    has_sidecar = True
    needs_pod = False

    @property
    def slug(self) -> str:
        """Its name as part of an id, a path, a file's name."""
        return self.name.replace("façade", "facade").replace(" + ", "-").replace(" ", "-")

    def settings(self, doors: Doors) -> Mapping[str, Any]:
        """Of the sidecar's file, beside registry and logs."""
        raise NotImplementedError

    def flags(self, stack: Stack, doors: Doors) -> tuple[str, ...]:
        """What `JAVA_TOOL_OPTIONS` of the app holds."""
        return ()

    def registry(self, doors: Doors, real: str) -> str:
        """The app's `server-addr`."""
        return real


class Direct(Way):
    has_sidecar = False


class FixedList(Way):
    """Two properties name the sidecar's port of the service as its only instance."""

    name = "fixed list"
    cures = frozenset(Trouble)

    def settings(self, doors: Doors) -> Mapping[str, Any]:
        return {"listen": None, "services": [{"name": SERVICE, "listen": f"127.0.0.1:{doors.own}"}]}

    def flags(self, stack: Stack, doors: Doors) -> tuple[str, ...]:
        if stack.balancer is Balancer.RIBBON:
            return (
                f"-D{SERVICE}.ribbon.NIWSServerListClassName=com.netflix.loadbalancer.ConfigurationBasedServerList",
                f"-D{SERVICE}.ribbon.listOfServers=127.0.0.1:{doors.own}",
            )
        simple = "-Dspring.cloud.discovery.client.simple"
        return f"{simple}.instances.{SERVICE}[0].uri=http://127.0.0.1:{doors.own}", f"{simple}.order=-1"


class ForwardProxy(Way):
    """Java's own proxy properties send every HTTP call to the shared listener."""

    name = "forward proxy"
    cures = frozenset({Trouble.ADDRESSES})

    def settings(self, doors: Doors) -> Mapping[str, Any]:
        return {"listen": f"127.0.0.1:{doors.shared}", "unmatched": "forward", "services": [{"name": SERVICE}]}

    def flags(self, stack: Stack, doors: Doors) -> tuple[str, ...]:
        return "-Dhttp.proxyHost=127.0.0.1", f"-Dhttp.proxyPort={doors.shared}", "-Dhttp.nonProxyHosts="


class Transparent(Way):
    """Rules of the pod redirect what the app sends; the app is given nothing."""

    name = "transparent"
    cures = frozenset({Trouble.ADDRESSES})
    needs_pod = True

    def settings(self, doors: Doors) -> Mapping[str, Any]:
        return {"listen": None, "transparent": f"127.0.0.1:{doors.transparent}", "services": [{"name": SERVICE}]}


class Facade(Way):
    """The app's registry is the sidecar, which passes on lists that do not lie."""

    name = "façade guarded"
    cures = frozenset({Trouble.LISTS})
    lists = "guarded"

    def settings(self, doors: Doors) -> Mapping[str, Any]:
        facade = {"listen": f"127.0.0.1:{doors.facade}", "lists": self.lists}
        return {"listen": None, "facade": facade, "services": [{"name": SERVICE, "listen": f"127.0.0.1:{doors.own}"}]}

    def registry(self, doors: Doors, real: str) -> str:
        return f"127.0.0.1:{doors.facade}"


class FacadeOfOne(Facade):
    """The lists name the sidecar's own port of the service, and nobody else."""

    name = "façade sidecar"
    cures = frozenset(Trouble)
    lists = "sidecar"


class FacadeAndProxy(Facade):
    """Lists that do not lie, and calls that are carried on when their address is gone."""

    name = "façade guarded + forward proxy"
    cures = frozenset(Trouble)

    def settings(self, doors: Doors) -> Mapping[str, Any]:
        return {**super().settings(doors), **FORWARD_PROXY.settings(doors)}

    def flags(self, stack: Stack, doors: Doors) -> tuple[str, ...]:
        return FORWARD_PROXY.flags(stack, doors)


DIRECT = Direct()
FIXED_LIST = FixedList()
FORWARD_PROXY = ForwardProxy()
TRANSPARENT = Transparent()
GUARDED = Facade()
GUARDED_AND_PROXY = FacadeAndProxy()
OF_ONE = FacadeOfOne()

WAYS: tuple[Way, ...] = (DIRECT, FIXED_LIST, FORWARD_PROXY, TRANSPARENT, GUARDED, GUARDED_AND_PROXY, OF_ONE)
