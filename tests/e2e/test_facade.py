"""Official clients behind the façade, real servers behind it."""

from pathlib import Path

import pytest

from tests.support.facade_story import (
    configuration_passes,
    ground,
    lists_are_guarded,
    registrations_pass,
)
from tests.support.java import CLIENTS, TOOLS
from tests.support.java_client import JavaClient
from tests.support.nacos_server import NacosServer

pytestmark = [pytest.mark.needs(*TOOLS), pytest.mark.one_loop]


@pytest.mark.parametrize("version", CLIENTS)
async def test_the_java_client_finds_a_nacos_and_is_spared_false_lists(
    nacos_server: NacosServer, version: str, tmp_path: Path
) -> None:
    """Lists are guarded, registrations and configuration are the real server's."""
    async with (
        ground(nacos_server, tmp_path) as found,
        JavaClient(version, found.facade, folder=tmp_path) as client,
    ):
        await lists_are_guarded(client, found)
        await registrations_pass(client, found)
        await configuration_passes(client)
