"""Providers of the official client and Nacos itself restart under load, against each version of the real server."""

import json
from pathlib import Path

import pytest

from tests.support.java import TOOLS
from tests.support.nacos_server import NacosServer
from tests.support.sidecar_process import running
from tests.trial.callers import SIDECAR, configuration
from tests.trial.conduct import play
from tests.trial.row import Row
from tests.trial.rows import registry_ends
from tests.trial.scene import Scene

pytestmark = [pytest.mark.needs(*TOOLS), pytest.mark.one_loop]

RATE = 100.0


async def restarts(scene: Scene) -> None:
    """A graceful one, a kill -9, and one of Nacos, which forgets by that what it knew."""
    first, second, *_ = scene.replicas
    await scene.restart(first)
    await scene.listed()
    await scene.whole()
    await scene.kill(second)
    await second.start()
    scene.there(second)
    await scene.listed()
    await scene.whole()
    sidecar = scene.sidecar.process
    refused = len(sidecar.events("push_refused"))
    await scene.ground.stop()
    await scene.ground.start()
    await scene.listed()
    await sidecar.event("registry_connected", count=2)
    await scene.whole()
    assert len(sidecar.events("push_refused")) > refused
    ended = {event["by"] for event in sidecar.events("hold_ended")}
    assert {"restored"} <= ended <= {"restored", "gone"}


STORY = Row("story", "a graceful restart, a kill -9, and Nacos restarts", restarts, official=True)


@pytest.mark.fact("R-1")
@pytest.mark.scenario("S-01", "S-21")
async def test_restarts_of_providers_and_of_nacos_do_not_show(nacos_server: NacosServer, tmp_path: Path) -> None:
    """A graceful restart, a kill -9 and a restart of Nacos: none failed but POSTs in flight on the killed, none twice.

    The sidecar refuses the false lists of the restarted server, empty or partial as the providers are back sooner or
    later, and lets go of nobody but the killed one.
    """
    played = await play(STORY, nacos_server.version, nacos_server, tmp_path, rate=RATE, who=[SIDECAR])
    assert played.verdict.misses == [], played.verdict
    assert played.verdict.books.rescued["guard"] > 0


async def nacos_is_there_at_last(scene: Scene) -> None:
    """Meanwhile another sidecar, whose disk holds nothing, is not ready."""
    (kept,) = (scene.folder / "sidecar" / "last-good").iterdir()
    assert len(json.loads(kept.read_text())["instances"]) == len(scene.replicas)
    folder = scene.folder / "unknowing"
    folder.mkdir()
    async with running(folder, configuration(scene.ground.address, scene.service, port=0)) as unknowing:
        await unknowing.event("registry_disconnected")
        assert (await unknowing.admin("/readyz")).status == 503
        assert await origin(scene) == "disk"
        await scene.ground.start()
        await scene.listed()
        await scene.whole()
        await unknowing.ready()
    assert await origin(scene) == "nacos"


async def origin(scene: Scene) -> str:
    (known,) = await scene.sidecar.process.clusters()
    return str(known["discovery"]["origin"])


COMEBACK = Row("comeback", "Nacos starts at last", nacos_is_there_at_last, first=registry_ends, official=True)


@pytest.mark.scenario("S-19")
async def test_a_start_without_nacos_serves_the_last_good_list_and_heals(
    nacos_server: NacosServer, tmp_path: Path
) -> None:
    """With a list on disk it is ready and serves at once, without one it is not ready; Nacos back, both are whole."""
    played = await play(COMEBACK, nacos_server.version, nacos_server, tmp_path, rate=RATE, who=[SIDECAR])
    assert played.verdict.misses == [], played.verdict
