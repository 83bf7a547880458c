"""The scene: five real processes that found each other, and a restart on the same port."""

from pathlib import Path

import aiohttp
import pytest

from sidecar.clock import monotonic
from sidecar.demo.processes import Stage
from sidecar.demo.scene import PROVIDERS, SERVICE, set_scene
from tests.support.http_client import request
from tests.support.until import PATIENCE

pytestmark = pytest.mark.own_process


async def test_everybody_is_there_and_a_restart_brings_a_provider_back(tmp_path: Path) -> None:
    """The registry lists all, a call through the sidecar is executed by one, and a restart keeps port and book."""
    said: list[str] = []
    async with Stage(tmp_path, deadline=monotonic() + 5 * PATIENCE) as stage, aiohttp.ClientSession() as session:
        scene = await set_scene(stage, session, said.append)
        assert await scene.complete()
        assert len({provider.port for provider in scene.providers}) == PROVIDERS
        port = int(scene.listen.rpartition(":")[2])
        assert (await request(port, path="/echo/s-1")).status == 200

        first, *_ = scene.providers
        before = stage.pid(first.name)
        await scene.restart(first)
        assert stage.pid(first.name) != before
        assert (await request(first.port, path="/echo/s-2")).status == 200
        assert sorted(scene.executed()) == ["s-1", "s-2"]

        invitation = scene.invitation()
        assert f"curl http://{scene.listen}/echo/1 " in invitation
        assert f"--admin {scene.admin.address} " in invitation
        assert f"kill -9 {stage.pid(first.name)} " in invitation
    assert [line.split()[1] for line in said] == ["an", str(PROVIDERS), "the"]
    assert SERVICE in said[1]
