"""A network of a trial's own, at first loopback and nothing else, where nobody is harmed by what is done to packets.

The program starts itself once more inside of it. That takes the rights of root, or a kernel that lends them to
everybody within a namespace; where neither is to be had, the trial plays on the machine's loopback and does without.
"""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NoReturn

from tests.support.needs import find, lacking
from tests.support.process import run

_MARK = "NETWORK_OF_OUR_OWN"
_CHAIN = "{ type filter hook input priority 0; }"


def is_own() -> bool:
    """Whether this process is inside."""
    return _MARK in os.environ


def can_drop() -> bool:
    """Whether there may be a `black_hole`."""
    return is_own() and not lacking("nft") and run(find("nft") or "", "list", "tables", check=False).returncode == 0


def enter(module: str, arguments: Sequence[str]) -> None:
    """Does not return where the network can be had: `python -m MODULE ARGUMENTS` takes the place of this process."""
    if is_own() or lacking("unshare", "ip"):
        return
    for rights in ([], ["--map-root-user"]):
        command = [find("unshare") or "", *rights, "--net"]
        if run(*command, find("ip") or "", "link", "set", "lo", "up", check=False).returncode == 0:
            _become([*command, sys.executable, "-m", module, *arguments])


def set_up() -> None:
    """To be called first inside."""
    run(find("ip") or "", "link", "set", "lo", "up")


def _become(command: list[str]) -> NoReturn:
    os.environ[_MARK] = "own"
    os.execv(command[0], command)


class Hole:
    """What was swallowed while a server could not be reached."""

    def __init__(self) -> None:
        self.packets = 0


@asynccontextmanager
async def black_hole(*ports: int) -> AsyncIterator[Hole]:
    """Every packet from and to these ports of a server is dropped: nothing is refused, nothing is reset."""
    table = f"hole{ports[0]}"
    wanted = f"{{ {', '.join(map(str, ports))} }}"
    hole = Hole()
    await _nft("add", "table", "inet", table)
    try:
        await _nft("add", "chain", "inet", table, "input", _CHAIN)
        for side in ("dport", "sport"):
            await _nft("add", "rule", "inet", table, "input", "tcp", side, wanted, "counter", "drop")
        yield hole
        counters = await _nft("list", "table", "inet", table)
        hole.packets = sum(int(number) for number in re.findall(r"packets (\d+)", counters))
    finally:
        await _nft("delete", "table", "inet", table)


async def _nft(*words: str) -> str:
    return (await asyncio.to_thread(run, find("nft") or "", *words)).stdout
