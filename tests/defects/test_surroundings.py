"""What the client library does to the process and the machine around it, and that none of it is done by ours."""

import asyncio
import json
import logging
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest

from sidecar.discovery.options import Server
from sidecar.embedded.registry import EmbeddedRegistry
from tests.support import sdk
from tests.support.namespace import ON_LOOPBACK_ALONE, loopback_alone
from tests.support.registry_session import opened

NOWHERE = {
    "PATH": os.environ["PATH"],
    "HOME": "/proc/nowhere",
    "TMPDIR": "/proc/nowhere",
    "PYTHONPATH": str(Path.cwd()),
}
"""Environment of a process that can write nowhere."""


@pytest.mark.reproduces(17)
@pytest.mark.needs(*ON_LOOPBACK_ALONE)
@pytest.mark.one_loop
async def test_reproduced_17_without_a_network_there_is_no_address() -> None:
    """The library, asked for the address it would show to servers, raises."""
    code = "from v2.nacos.utils.net_util import NetUtils; NetUtils.get_local_ip()"
    _, complained, status = await _run(*loopback_alone(sys.executable, "-W", "ignore", "-c", code))
    assert status == 1
    assert "no valid non-loopback IPv4 interface found" in complained


_LIBRARY_ALONE = """
import asyncio, json, os, random, sys, gc
from sidecar.discovery import nacos
from sidecar.discovery.access import Access
from sidecar.discovery.options import NacosOptions, Server
from sidecar.discovery.session import ServiceKey

written = []

def watch(event, args):
    if event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        written.append(str(args[0]))
    elif event in ("os.mkdir", "os.rename"):
        written.append(str(args[0]))

class Ear:
    def pushed(self, *_): pass
    def unreadable(self, *_): pass
    def troubled(self, *_): pass

async def main():
    options = NacosOptions()
    access = Access(options, rng=random.Random(1))
    for _ in range(3):
        session = nacos.NacosSession(Server.parse(sys.argv[1], grpc_port_offset=1000), options, Ear(), access)
        await session.open()
        listing = await session.subscribe(ServiceKey("orders", "DEFAULT_GROUP"))
        await session.close()
    return len(listing.instances)

sys.addaudithook(watch)
found = asyncio.run(main())
print(json.dumps({
    "found": found,
    "written": written,
    "loops": sum(isinstance(thing, asyncio.AbstractEventLoop) for thing in gc.get_objects()),
    "hollow": [name for name in sys.modules if type(sys.modules[name]).__name__ == "Hollow"],
    "psutil": "psutil" in sys.modules,
}))
"""


@pytest.mark.defect(18, 23)
@pytest.mark.one_loop
async def test_defect_18_and_23_sessions_touch_no_disk_and_keep_to_one_event_loop(
    registry: EmbeddedRegistry, tmp_path: Path
) -> None:
    """Three in a process without HOME: nothing is written anywhere, nothing is printed, no stand-in stays loaded."""
    said, complained, status = await _run(
        sys.executable, "-B", "-c", _LIBRARY_ALONE, registry.address, environ=NOWHERE, folder=tmp_path
    )
    assert (complained, status) == ("", 0)
    assert json.loads(said) == {"found": 1, "written": [], "loops": 1, "hollow": [], "psutil": False}


@pytest.mark.reproduces(18)
def test_reproduced_18_without_a_home_there_is_no_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library makes folders for logs and lists before it does anything else."""
    monkeypatch.setenv("HOME", "/proc/nowhere")
    with pytest.raises(OSError, match="/proc/nowhere"):
        sdk.nacos.NacosNamingService(sdk.nacos.ClientConfigBuilder().server_address("127.0.0.1:1").build())


_STAGE = """
import asyncio, fcntl, json, os, signal, socket, struct, sys

def raise_loopback():
    with socket.socket() as any_socket:
        flags_of_lo = struct.pack("16sh", b"lo", 0x1)  # IFF_UP
        fcntl.ioctl(any_socket, 0x8914, flags_of_lo)   # SIOCSIFFLAGS

async def answer(reader, writer):
    await reader.readuntil(b"\\r\\n\\r\\n")
    writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-length: 5\\r\\n\\r\\nhello")

async def ask(port, text):
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
            continue
        writer.write(text.encode() + b" HTTP/1.1\\r\\nhost: orders\\r\\nconnection: close\\r\\n\\r\\n")
        reply = (await reader.read()).decode()
        writer.close()
        if reply.split()[1] == "200":
            return reply.rpartition("\\r\\n\\r\\n")[2]
        await asyncio.sleep(0.05)

async def main():
    raise_loopback()
    from sidecar.embedded.registry import EmbeddedRegistry
    await asyncio.start_server(answer, "127.0.0.1", 8081)
    async with EmbeddedRegistry(port=8848) as registry:
        registry.register("orders", "127.0.0.1", 8081)
        sidecar = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sidecar", "run", "-c", sys.argv[1], stdout=sys.stderr, stderr=sys.stderr
        )
        body = await ask(15001, "GET /")
        sidecar.send_signal(signal.SIGTERM)
        code = await sidecar.wait()
        print(json.dumps({"body": body, "code": code, "clients": list(registry.connections.versions.values())}))

asyncio.run(main())
"""


@pytest.mark.defect(17)
@pytest.mark.scenario("S-29")
@pytest.mark.needs(*ON_LOOPBACK_ALONE)
@pytest.mark.one_loop
async def test_defect_17_a_sidecar_runs_on_loopback_alone_with_nothing_to_write_to(tmp_path: Path) -> None:
    """No other network, a root that is read-only, no HOME: it subscribes, carries a call and ends with 0."""
    config = tmp_path / "sidecar.yaml"
    config.write_text("version: 1\naccess_log: {path: none}\nservices: [{name: orders}]\n")
    said, complained, status = await _run(
        *loopback_alone(sys.executable, "-c", _STAGE, str(config)), environ=NOWHERE, folder=tmp_path
    )
    assert status == 0, complained
    assert json.loads(said) == {"body": "hello", "code": 0, "clients": [1]}


@pytest.mark.reproduces(19)
async def test_reproduced_19_every_client_opens_the_log_once_more(registry: EmbeddedRegistry, tmp_path: Path) -> None:
    """One more handler each, the logger cut off from everybody else's, and whole lists written at INFO."""
    logger = logging.getLogger("naming")
    with sdk.messages() as written:
        async with sdk.sdk_client(registry.address, tmp_path, tune=_at(logging.INFO)) as app:
            await sdk.subscribe(app, "orders")
    assert any("'127.0.0.1', port=8081" in line for line in written)

    known = list(logger.handlers)
    config = sdk.nacos.ClientConfigBuilder().server_address("127.0.0.1:1").log_dir(str(tmp_path)).build()
    config.set_cache_dir(str(tmp_path))
    for number in (1, 2):
        sdk.NacosClient(config, "naming")
        assert (len(logger.handlers), logger.propagate) == (len(known) + number, False)
    sdk.silence(known)


@pytest.mark.defect(19)
async def test_defect_19_sessions_have_nothing_to_say_to_any_log(
    registry: EmbeddedRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    """With every logger at DEBUG: no line of the library's, and no handler of its own."""
    caplog.set_level(logging.DEBUG)
    known = list(logging.getLogger("naming").handlers)
    async with opened(registry) as ear:
        registry.register("orders", "127.0.0.1", 8082)
        await ear.until(8081, 8082)
    assert [record for record in caplog.records if record.name == "naming" or "v2/nacos" in record.pathname] == []
    assert logging.getLogger("naming").handlers == known


@pytest.mark.reproduces(20)
@pytest.mark.parametrize(("text", "taken"), [("nacos", "nacos:1000"), ("[::1]:8848", "[:1000")])
async def test_reproduced_20_addresses_are_guessed_at(tmp_path: Path, text: str, taken: str) -> None:
    """Without a port it is 1000, whatever comes before the first colon is the host."""
    async with sdk.sdk_client("127.0.0.1:1", tmp_path, tune=_impatient) as client:
        assert client.grpc_client_proxy.rpc_client._resolve_server_info(text).get_address() == taken


@pytest.mark.defect(20)
def test_defect_20_addresses_are_read_by_us() -> None:
    """8848 where no port is written, IPv6 in brackets."""
    targets = [Server.parse(text, grpc_port_offset=1000).grpc_target for text in ("nacos", "[::1]:8848", "[::1]")]
    assert targets == ["nacos:9848", "[::1]:9848", "[::1]:9848"]


def _impatient(config: Any) -> None:
    config.grpc_config.grpc_timeout = 10


def _at(level: int) -> Any:
    def tune(config: Any) -> None:
        config.set_log_level(level)

    return tune


async def _run(
    *command: str, environ: dict[str, str] | None = None, folder: Path | None = None
) -> tuple[str, str, int | None]:
    """What it says, what it complains of, and its exit code."""
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, env=environ, cwd=folder)
    try:
        said, complained = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return said.decode(), complained.decode(), process.returncode
