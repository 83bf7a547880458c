"""What a running sidecar has loaded: counts, the same on every machine. Each module stays in the memory of every pod.

A process of its own is taken through all that a sidecar does in an ordinary life, and tells at its end what it loaded.
"""

import os
import signal
from pathlib import Path

import pytest

from sidecar.embedded.registry import EmbeddedRegistry
from tests.integration.app.test_sidecar import answered_by, registered
from tests.support.providers import providers
from tests.support.sidecar_process import running

pytestmark = pytest.mark.own_process

MODULES = 680
"""Counted: 624, by Python 3.11. A tenth more for other versions; who needs another library moves it, and the table in
docs/operating/weight.md."""

NEVER = frozenset(
    {
        *(
            "aiohttp",
            "prometheus_client",
            "http.client",
            "http.server",
            "urllib.request",
        ),  # a proxy has HTTP of its own
        *("a2a", "Crypto", "Tea", "darabonba", "psutil", "v2.nacos.ai", "v2.nacos.config"),  # of the registry client
        *("sidecar.demo", "sidecar.embedded", "sidecar.config.check", "sidecar.config.schema"),  # of other commands
        *("sidecar.facade", "sidecar.app.facade_parts"),  # of those who want one
        *("multiprocessing", "sqlite3", "unittest", "xml"),
    }
)
"""With all that is inside of them."""

_TELLS_AT_ITS_END = """\
import atexit, sys
atexit.register(lambda: open({file!r}, "w").write("\\n".join(sys.modules)))
"""


async def _loaded(folder: Path) -> set[str]:
    """By a sidecar that was called, scraped and looked at, and had its list from a registry."""
    file = folder / "modules.txt"
    (folder / "sitecustomize.py").write_text(_TELLS_AT_ITS_END.format(file=str(file)))
    environ = {"PYTHONPATH": os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])}
    async with EmbeddedRegistry() as registry, providers(1) as (provider,):
        registry.register("orders", "127.0.0.1", provider.port)
        text = registered(registry.address, "drain: {quiet: 10ms}\n")
        async with running(folder, text, environ=environ) as process:
            await process.event("registry_connected")
            await process.ready()
            await answered_by(process)
            for path in ("/", "/metrics", "/clusters?format=json", "/events", "/config_dump", "/server_info"):
                assert (await process.admin(path)).status == 200
            process.child.signal(signal.SIGTERM)
            assert await process.child.ended() == 0
    return set(file.read_text().splitlines())


async def test_a_running_sidecar_has_loaded_only_what_it_needs(tmp_path: Path) -> None:
    """None of the heavy packages that others bring along, and no more modules than when it was weighed."""
    loaded = await _loaded(tmp_path)
    assert {"grpc", "v2.nacos.naming", "sidecar.discovery.nacos", "pydantic", "httptools"} <= loaded
    needless = {name for name in loaded if any(f"{name}.".startswith(f"{package}.") for package in NEVER)}
    assert not needless
    assert not [name for name in loaded if name.startswith("alibabacloud_")]
    assert len(loaded) <= MODULES
