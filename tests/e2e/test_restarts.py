"""Providers and Nacos itself restart under load: the trial in short, against each version of the real server."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.java import TOOLS
from tests.support.nacos_server import NacosServer
from tests.trial.play import Played, Step, graceful, play, registry, violent, whole
from tests.trial.report import report
from tests.trial.stage import Stage, sidecar_of, staged

pytestmark = [pytest.mark.needs(*TOOLS), pytest.mark.one_loop]

RATE = 100.0


@pytest.fixture
async def stage(nacos_server: NacosServer, tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(nacos_server, tmp_path, service="restart-story") as found:
        yield found


def prove(played: Played) -> None:
    """Fails with the whole table where something is missing."""
    assert not played.verdict.objections, report(played.verdict, played.phases, played.healed)


@pytest.mark.fact("R-1")
@pytest.mark.scenario("S-01", "S-21")
async def test_restarts_of_providers_and_of_nacos_do_not_show(stage: Stage, tmp_path: Path) -> None:
    """A graceful restart, a kill -9 and a restart of Nacos: none failed but POSTs in flight on the killed, none twice.

    The sidecar refuses the false lists of the restarted server, empty or partial as the providers are back sooner or
    later, and lets go of nobody but the killed one.
    """
    steps = [graceful(stage, 0), violent(stage, 1), registry(stage)]
    async with sidecar_of(stage, tmp_path / "sidecar") as sidecar:
        await sidecar.ready()
        played = await play(stage, sidecar, steps, rate=RATE, seconds=5.0, say=print)
        prove(played)
        kinds = [event["event"] for event in sidecar.events()]
        reconnected = len(kinds) - 1 - kinds[::-1].index("registry_connected")
        assert "push_refused" in kinds[reconnected:]
        ended = {event["by"] for event in sidecar.events("hold_ended")}
        assert {"restored"} <= ended <= {"restored", "gone"}
        assert played.verdict.books.rescued["guard"] > 0


@pytest.mark.scenario("S-19")
async def test_a_start_without_nacos_serves_the_last_good_list_and_heals(stage: Stage, tmp_path: Path) -> None:
    """With a list on disk it is ready and serves at once, without one it is not ready; Nacos back, both are whole."""
    knowing, unknowing = tmp_path / "knowing", tmp_path / "unknowing"
    async with sidecar_of(stage, knowing) as sidecar:
        await whole(stage, sidecar)
    (kept,) = (knowing / "last-good").iterdir()
    assert len(json.loads(kept.read_text())["instances"]) == len(stage.providers)

    await stage.server.kill()
    async with sidecar_of(stage, knowing) as first, sidecar_of(stage, unknowing) as second:
        await first.ready()
        await second.event("registry_disconnected")
        assert (await second.admin("/readyz")).status == 503
        assert (await first.clusters())[0]["discovery"]["origin"] == "disk"
        played = await play(stage, first, [comeback(stage)], rate=RATE, seconds=2.0, say=print)
        prove(played)
        assert (await first.clusters())[0]["discovery"]["origin"] == "nacos"
        await second.ready()
        await whole(stage, second)


def comeback(stage: Stage) -> Step:
    """The server starts at last."""

    async def start() -> None:
        await stage.server.start()
        await stage.settled()

    return Step("start of Nacos", "Nacos comes back", start, forgets=True)
