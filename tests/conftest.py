"""Every async test runs on asyncio and on uvloop; tests of timers run on a loop that skips idle time.

Property tests draw the same examples in every run and may take their time, so that neither luck nor the load of the
machine decides on a run. `pytest --hypothesis-profile=search` draws other ones each time, as `make fuzz` does.
"""

import asyncio
from collections.abc import Callable, Mapping

import aiohttp  # noqa: F401 - loaded before the registry client, whose own login tests it too, and which else gets none
import pytest
import uvloop
from hypothesis import HealthCheck, settings

from tests.support.virtual_loop import VirtualLoop

settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("steady", settings.get_profile("search"), derandomize=True)
settings.load_profile("steady")

pytest_plugins = ["tests.support.needs", "tests.support.nacos_server"]


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Names the loops of one test."""
    if item.get_closest_marker("own_process"):
        return {"asyncio": asyncio.new_event_loop}
    if item.get_closest_marker("virtual_time"):
        return {"virtual": VirtualLoop}
    if item.get_closest_marker("one_loop") or item.get_closest_marker("reproduces"):
        return {"asyncio": asyncio.new_event_loop}
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
