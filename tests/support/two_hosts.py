"""Two hosts with a wire between them, made of network namespaces: what a test redirects there, nobody else sees.

    with two_hosts() as network, network.inside(network.near):
        …    # sockets of this thread, and processes that it starts, are on the near host

`near` is the pod: the app and the sidecar. `far` has several addresses, one for each server that a test needs.
"""

import ctypes
import itertools
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support.needs import find, missing
from tests.support.process import run

TOOLS = ("root", "ip", "iptables", "iptables-restore", "ip6tables-restore", "setpriv")

NEAR = "10.213.0.1"
FAR = tuple(f"10.213.0.{number}" for number in range(10, 16))
NEAR6, FAR6 = "fd00:213::1", "fd00:213::10"

SIDECAR_USER = 65532
"""Of the image; the tests themselves are another user."""

_NEW_NETWORK = 0x40000000
_numbers = itertools.count()


def as_user(uid: int) -> list[str]:
    """What a command line begins with that is to run as this user, without any right."""
    return [
        *(str(find("setpriv")), f"--reuid={uid}", f"--regid={uid}", "--clear-groups"),
        *("--inh-caps=-all", "--bounding-set=-all", "--"),
    ]


class Network:
    """Names of the two namespaces."""

    def __init__(self, near: str, far: str) -> None:
        self.near, self.far = near, far

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """This thread is on that host."""
        with open("/proc/thread-self/ns/net") as before, Path(f"/var/run/netns/{name}").open() as there:  # noqa: PTH123
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(before.fileno())

    def exec_far(self) -> list[str]:
        """What a command line begins with that is to run on the far host."""
        return [str(find("ip")), "netns", "exec", self.far]

    def rules(self, tool: str = "iptables") -> str:
        """Those of the near host."""
        return run(str(find("ip")), "netns", "exec", self.near, str(find(tool)), "-t", "nat", "-S").stdout


@contextmanager
def two_hosts() -> Iterator[Network]:
    """Skips where the machine does not permit it."""
    names = [f"test{os.getpid()}-{next(_numbers)}{side}" for side in ("near", "far")]
    ip = str(find("ip"))
    with ExitStack() as stack:
        for name in names:
            if run(ip, "netns", "add", name, check=False).returncode:
                missing("this machine permits no network namespaces")
            stack.callback(run, ip, "netns", "del", name)
        near, far = names
        run(ip, "link", "add", "wire", "netns", near, "type", "veth", "peer", "name", "wire", "netns", far)
        for name, addresses, addresses6 in ((near, (NEAR,), (NEAR6,)), (far, FAR, (FAR6,))):
            for address in addresses:
                run(ip, "-n", name, "addr", "add", f"{address}/24", "dev", "wire")
            for address in addresses6:
                run(ip, "-n", name, "addr", "add", f"{address}/64", "dev", "wire", "nodad")
            for link in ("lo", "wire"):
                run(ip, "-n", name, "link", "set", link, "up")
        yield Network(near, far)


def _enter(namespace: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.setns(namespace, _NEW_NETWORK):
        raise OSError(ctypes.get_errno(), "setns")
