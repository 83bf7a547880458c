"""Claims about the process: exit codes, signals, and the environments that it must bear."""

import asyncio
import gc
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from sidecar.app.process import spare_lists
from sidecar.cluster.instance import Instance
from sidecar.embedded.registry import EmbeddedRegistry
from sidecar.tasks import spawn
from tests.integration.app.test_sidecar import answered_by, registered, static
from tests.support.needs import find
from tests.support.process import Child
from tests.support.providers import providers
from tests.support.sidecar_process import SidecarProcess, running
from tests.support.until import until

pytestmark = pytest.mark.own_process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_first_signal_drains_the_second_ends_at_once(tmp_path: Path, number: signal.Signals) -> None:
    """While an app is connected the first signal does not end it; the second does, with 128 + the signal's number."""
    text = "drain: {timeout: 60s}\n"
    async with providers(1) as (provider,), running(tmp_path, text + static(provider.address)) as process:
        await process.ready()
        _, writer = await asyncio.open_connection("127.0.0.1", await process.bound("orders"))
        process.child.signal(number)
        await process.event("drain_started")
        process.child.signal(number)
        assert await process.child.ended() == 128 + number
        writer.close()


async def test_quitquitquit_is_a_sigterm(tmp_path: Path) -> None:
    """The admin call drains and ends the process with 0."""
    async with running(tmp_path, "drain: {quiet: 100ms}\n" + static("127.0.0.1:9")) as process:
        await process.ready()
        assert (await process.admin("/quitquitquit", method="POST")).status == 200
        assert await process.child.ended() == 0


async def test_a_taken_port_ends_it_with_69_and_a_remedy(tmp_path: Path) -> None:
    """The message names listener, address, reason and what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        text = static("127.0.0.1:9").replace("    listen: 127.0.0.1:0", f"    listen: {address}")
        async with running(tmp_path, text) as process:
            assert await process.child.ended() == 69
            assert f"cannot bind {address} for orders: Address already in use; free the port" in process.child.output()
            assert "drain_ended" not in process.child.output()


async def test_an_invalid_file_ends_it_with_78_and_every_problem(tmp_path: Path) -> None:
    """Both mistakes are told in one run, each with its place."""
    async with running(tmp_path, "version: 1\nlisten: nowhere\nservices: [{nam: orders}]\n") as process:
        assert await process.child.ended() == 78
        output = process.child.output()
        assert "sidecar.yaml:2:9: listen:" in output
        assert "unknown key 'nam'" in output
        assert "errors, 0 warnings" in output


async def test_an_access_log_that_cannot_be_opened_ends_it_with_69(tmp_path: Path) -> None:
    """Nothing is bound when the log's file cannot be written."""
    text = static("127.0.0.1:9").replace("path: access.log", "path: missing/access.log")
    async with running(tmp_path, text) as process:
        assert await process.child.ended() == 69
        assert "cannot open access_log.path" in process.child.output()


async def test_the_collector_passes_over_what_is_there_when_ready() -> None:
    """Lists came before, and are many objects: not before that moment, and all of them."""
    ready = asyncio.Event()
    waiting = spawn(spare_lists(ready), name="lists are there")
    listed = [Instance("10.0.0.1", port) for port in range(1, 100)]
    await asyncio.sleep(0)
    assert any(found is listed[0] for found in gc.get_objects())
    ready.set()
    try:
        await waiting
        assert not any(isinstance(found, Instance) for found in gc.get_objects())
    finally:
        gc.unfreeze()


async def test_usr1_dumps_the_state_and_usr2_the_stacks(tmp_path: Path) -> None:
    """Both signals write to stderr and leave the process serving; of all tasks, those of a registry's session, too."""
    async with (
        EmbeddedRegistry(port=0) as registry,
        providers(1) as (provider,),
        running(tmp_path, registered(registry.address)) as process,
    ):
        registry.register("orders", "127.0.0.1", provider.port)
        await process.ready()
        process.child.signal(signal.SIGUSR1)
        event = await process.event("state_dump")
        assert event["state"]["clusters"][0]["endpoints"][0]["address"] == provider.address
        process.child.signal(signal.SIGUSR2)

        async def dumped() -> bool:
            told = process.child.output()
            return "Stack for thread MainThread" in told and told.count("Stack for <Task") > 5

        await until(dumped)
        assert "Traceback" not in process.child.output()
        assert await answered_by(process) == str(provider.port)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
async def test_both_event_loops_carry_calls(tmp_path: Path, loop: str) -> None:
    """The loop that was asked for is in use, and serves."""
    async with providers(1) as (provider,), running(tmp_path, static(provider.address), "--loop", loop) as process:
        await process.ready()
        assert (await process.event("starting"))["loop"] == loop
        assert await answered_by(process) == str(provider.port)


async def test_the_variable_chooses_the_loop_and_the_flag_wins(tmp_path: Path) -> None:
    """SIDECAR_LOOP is heeded unless the flag says otherwise."""
    environ = {"SIDECAR_LOOP": "asyncio"}
    async with running(tmp_path, static("127.0.0.1:9"), environ=environ) as process:
        assert (await process.event("starting"))["loop"] == "asyncio"
    async with running(tmp_path, static("127.0.0.1:9"), "--loop", "uvloop", environ=environ) as process:
        assert (await process.event("starting", count=1))["loop"] == "uvloop"


def test_a_thread_that_waits_for_ever_keeps_no_process() -> None:
    """As one that asks a silent name server does: the loop and the interpreter would wait for it at their end."""
    code = (
        "import threading\n"
        "from sidecar.app.process import Ending, _leave_within\n"
        "threading.Thread(target=threading.Event().wait).start()\n"
        "_leave_within(0.1, Ending.TERMINATED)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 143


@pytest.fixture
def folder_for_all() -> Iterator[Path]:
    """One that any user may enter: those of pytest are closed to others again whenever a run begins."""
    with TemporaryDirectory(prefix="for-all-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.mark.needs("setpriv", "root")
async def test_it_runs_as_nobody_with_nothing_to_write_to(folder_for_all: Path) -> None:
    """Another user, HOME unwritable, no folder of its own: it starts, connects a registry client, and serves."""
    setpriv = find("setpriv")
    assert setpriv is not None
    async with providers(1) as (provider,):
        text = static(provider.address).replace("path: access.log", "path: stdout")
        (folder_for_all / "sidecar.yaml").write_text(text)
        process = SidecarProcess.__new__(SidecarProcess)
        process.folder, process.config = folder_for_all, folder_for_all / "sidecar.yaml"
        process.child = Child(
            [
                setpriv, "--reuid=65532", "--regid=65532", "--clear-groups", "--no-new-privs", "--bounding-set=-all",
                sys.executable, "-m", "sidecar", "run", "-c", str(process.config), "--log-format", "json",
            ],
            log=folder_for_all / "sidecar.log",
            environment={"PATH": os.environ["PATH"], "HOME": "/proc", "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
        try:
            await process.ready()
            assert await answered_by(process) == str(provider.port)
        finally:
            await process.child.terminate()
