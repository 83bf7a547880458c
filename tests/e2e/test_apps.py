"""Unmodified Spring Cloud apps of two eras, three rows of their trial: `tests/apps_trial`, in short."""

import json
import sys
from pathlib import Path

import pytest

from tests.apps.app import SERVICE, Consumer
from tests.apps.stacks import A
from tests.apps_trial import network
from tests.apps_trial.ways import FIXED_LIST, Doors
from tests.support.http_client import request
from tests.support.java import TOOLS
from tests.support.ports import free_port
from tests.support.process import run
from tests.support.providers import providers
from tests.support.sidecar_process import running

_WITHOUT_REGISTRY = "-Dspring.cloud.nacos.discovery.register-enabled=false"


@pytest.mark.needs(*TOOLS, *network.TOOLS)
@pytest.mark.one_loop
def test_apps_behind_a_way_in_lose_nothing_while_the_direct_one_does() -> None:
    """A rolling restart, a false empty list, and all providers exchanged at once; a real Nacos, real apps.

    The trial counts from both ends, and its exit code says whether everything was proven: also that the direct apps were
    hurt.
    """
    played = run(sys.executable, "-m", "tests.apps_trial", "--brief", check=False)
    sys.stdout.write(played.stdout + played.stderr)
    assert played.returncode == 0


@pytest.mark.needs(*TOOLS)
@pytest.mark.one_loop
async def test_ribbon_does_not_shun_the_only_address_it_has(tmp_path: Path) -> None:
    """Three failed connects in a row make it avoid a server, but not when there is no other: the sidecar may be away."""
    doors, registry = Doors(), f"127.0.0.1:{free_port()}"
    flags = (*FIXED_LIST.flags(A, doors), _WITHOUT_REGISTRY)
    async with providers(1) as (provider,), Consumer(A, registry, folder=tmp_path, flags=flags) as consumer:
        static = {"name": SERVICE, "listen": f"127.0.0.1:{doors.own}", "discovery": {"static": [provider.address]}}
        admin, drain = {"listen": "127.0.0.1:0"}, {"timeout": "500ms"}
        text = json.dumps({"version": 1, "listen": None, "admin": admin, "drain": drain, "services": [static]})

        async def statuses(calls: int) -> list[int]:
            paths = [f"/{client}/{number}" for number in range(calls) for client in ("feign", "rest")]
            return [(await request(consumer.port, "GET", path)).status for path in paths]

        async with running(tmp_path, text) as sidecar:
            await sidecar.ready()
            assert await statuses(1) == [200] * 2
        assert await statuses(5) == [500] * 10
        async with running(tmp_path, text) as sidecar:
            await sidecar.ready()
            assert await statuses(5) == [200] * 10
