"""Seconds from the start of a process until it is ready, on the core of proxies alone: sidecar, Envoy, a bare interpreter."""

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter

from tests.bench.contender import PROXY_CORE
from tests.bench.ground import Ground
from tests.peers import envoy
from tests.peers.peer import SERVICE, Terms
from tests.peers.sidecar import SidecarPeer
from tests.support import cpu
from tests.support.http_client import request
from tests.support.ports import free_port
from tests.support.process import Child, run


async def starts(ground: Ground, times: int, folder: Path) -> Mapping[str, list[float]]:
    """By name, in turns. The registry runs already and answers."""
    found: dict[str, list[float]] = {"sidecar": [], "Envoy": [], "python": []}
    folder.mkdir()  # noqa: ASYNC240 - nothing else runs yet
    peer = SidecarPeer({SERVICE: ground.instances(3)}, folder / "sidecar", Terms())
    await peer.ready()
    try:
        for _ in range(times):
            found["sidecar"].append(await _sidecar(peer, folder))
            found["Envoy"].append(await _envoy(ground, folder))
            found["python"].append(_python())
    finally:
        await peer.close()
    return found


async def _sidecar(peer: SidecarPeer, folder: Path) -> float:
    admin, file = free_port(), folder / "started.yaml"
    file.write_text(
        peer.configuration().replace('admin: {listen: "127.0.0.1:0"}', f"admin: {{listen: 127.0.0.1:{admin}}}")
    )
    command = [str(Path(sys.executable).with_name("nacos-sidecar")), "run", "--config", str(file)]
    return await _until_ready(command, admin, "/readyz", folder)


async def _envoy(ground: Ground, folder: Path) -> float:
    admin, lists = free_port(), folder / "started.json"
    envoy.write_list(lists, SERVICE, ground.instances(3))
    hosts = [envoy.virtual_host(SERVICE, ["*"], Terms())]
    resources = {
        "clusters": [envoy.cluster(SERVICE, lists, Terms())],
        "listeners": [envoy.listener("app", free_port(), hosts)],
    }
    return await _until_ready(envoy.command(admin, resources, folder), admin, "/ready", folder)


async def _until_ready(command: list[str], admin: int, path: str, folder: Path) -> float:
    with cpu.pinned(PROXY_CORE):
        begun = perf_counter()
        child = Child(command, log=folder / "started.log")
    try:
        while not await _says_so(admin, path):
            if child.exit_code is not None:
                raise RuntimeError(child.tail())
            await asyncio.sleep(0.005)
        return perf_counter() - begun
    finally:
        await child.terminate(within=10.0)


async def _says_so(admin: int, path: str) -> bool:
    try:
        return (await request(admin, path=path)).status == 200
    except OSError:
        return False


def _python() -> float:
    with cpu.pinned(PROXY_CORE):
        begun = perf_counter()
        run(sys.executable, "-c", "pass")
        return perf_counter() - begun
