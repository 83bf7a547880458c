"""Several real Nacos nodes that are one registry: what one is told, the others know a second later.

    async with nacos_cluster("3.1.0", 2) as nodes:
        connect(",".join(node.address for node in nodes))

They are usable after some 20 s and take 500 MiB each. Nodes wait for one another at their start, and give up when one
of them does, so they are started at once, and all of them once more when one ended.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from tests.support.nacos_server import START_ATTEMPTS, NacosServer, Version


@contextlib.asynccontextmanager
async def nacos_cluster(version: Version, count: int) -> AsyncIterator[list[NacosServer]]:
    """So many nodes, each of which serves clients."""
    nodes = [NacosServer(version) for _ in range(count)]
    for node in nodes:
        node.members = tuple(one.address for one in nodes)
    try:
        await _start(nodes)
        yield nodes
    finally:
        for node in nodes:
            node.close()


async def _start(nodes: Sequence[NacosServer]) -> None:
    for _ in range(START_ATTEMPTS):
        if await _come_up(nodes):
            return
        for node in nodes:
            await node.kill()
    raise RuntimeError("\n".join(f"{node!r} did not start:\n{node.log_tail()}" for node in nodes))


async def _come_up(nodes: Sequence[NacosServer]) -> bool:
    """False as soon as one of them has ended instead."""
    loop = asyncio.get_running_loop()
    starting = [loop.create_task(node.try_to_start(empty=True)) for node in nodes]
    try:
        for first in asyncio.as_completed(starting):
            if not await first:
                return False
    finally:
        for task in starting:
            task.cancel()
        await asyncio.gather(*starting, return_exceptions=True)
    return True
