"""The trial's own network: a street, where the registry and the providers are, and pods beside it.

An app whose connections are redirected has to live behind addresses that are not loopback, alone in a network whose
rules are its own. The program starts itself once more in a network of its own; a pod is another one,
connected to it by a pair of interfaces, and ends with the process that holds it.
"""

import itertools
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support import own_network
from tests.support.needs import find
from tests.support.process import Child, run
from tests.support.until import settled

TOOLS = ("root", "unshare", "nsenter", "setpriv", "ip", "iptables", "iptables-restore")
"""What it needs."""

HOST = "10.77.0.1"
"""Where providers and registry are, for everybody."""

_numbers = itertools.count(1)
"""Of pods: the third byte of their addresses."""


def set_up() -> None:
    """To be called first inside."""
    own_network.set_up()
    _ip("addr", "add", f"{HOST}/32", "dev", "lo")


@dataclass(frozen=True, slots=True)
class Pod:
    """A network of one app and its sidecar; `before` is what runs a command in there."""

    address: str
    before: tuple[str, ...]

    def run(self, *command: str) -> str:
        """The output of a command to its end, as root."""
        return run(*self.before, *command).stdout


@asynccontextmanager
async def pod(folder: Path) -> AsyncIterator[Pod]:
    """The next one; it is gone after the block."""
    holder = Child([find("unshare") or "", "--net", "sleep", "infinity"], log=folder / "pod.log")
    try:
        await settled(lambda: _network(holder.pid) != _network(os.getpid()))
        yield _connected(next(_numbers), holder.pid)
    finally:
        holder.kill()


def _network(pid: int) -> Path:
    return Path(f"/proc/{pid}/ns/net").readlink()


def _connected(number: int, pid: int) -> Pod:
    here, there = f"10.77.{number}.1", f"10.77.{number}.2"
    found = Pod(there, (find("nsenter") or "", f"--net=/proc/{pid}/ns/net", "--"))
    _ip("link", "add", f"pod{number}", "type", "veth", "peer", "name", "eth0", "netns", str(pid))
    _ip("addr", "add", f"{here}/30", "dev", f"pod{number}")
    _ip("link", "set", f"pod{number}", "up")
    ip = find("ip") or ""
    for words in (
        ("link", "set", "lo", "up"),
        ("addr", "add", f"{there}/30", "dev", "eth0"),
        ("link", "set", "eth0", "up"),
        ("route", "add", "default", "via", here),
    ):
        found.run(ip, *words)
    return found


def _ip(*words: str) -> None:
    run(find("ip") or "", *words)
