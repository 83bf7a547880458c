"""The stage: what it starts is watched, and gone when it is left, however it is left."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from sidecar.clock import monotonic
from sidecar.demo import processes
from sidecar.demo.processes import Stage, StageError, free_ports
from sidecar.tasks import spawn
from tests.support.needs import LINUX
from tests.support.ports import free_port
from tests.support.until import PATIENCE, until

pytestmark = pytest.mark.own_process

SLEEPER = "import sys, time; print('up', *sys.argv[1:], flush=True); time.sleep(600)\n"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)\n"
)
POLITE = """\
import pathlib, signal, sys, time
def end(*_):
    with open(sys.argv[1], "a") as file:
        file.write(sys.argv[2] + "\\n")
    sys.exit()
signal.signal(signal.SIGTERM, end)
print("up", flush=True)
time.sleep(600)
"""
CURIOUS = "import os; print(*sorted(name for name in os.environ if name.startswith(('SIDECAR_', 'NACOS_'))), 'end')\n"


@pytest.fixture
async def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    """A stage whose processes find the modules of this file."""
    for name, code in {"sleeper": SLEEPER, "stubborn": STUBBORN, "polite": POLITE, "curious": CURIOUS}.items():
        (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(processes, "_GRACE", PATIENCE)
    async with Stage(tmp_path, deadline=monotonic() + PATIENCE) as stage:
        yield stage


async def up(stage: Stage, name: str) -> None:
    """Returns when the process has printed its first word."""

    async def printed() -> bool:
        return "up" in stage.output(name)

    await stage.until(printed, f"{name} is up")


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_output_goes_to_a_log_of_the_process(stage: Stage) -> None:
    """What it prints is found under its name, a second life's below the first one's."""
    for argument in ("one", "two"):
        stage.start("first", "sleeper", argument)
        await until(partial(_says, stage, "first", argument))
        await stage.end("first")
    assert stage.output("first") == "up one\nup two\n"


async def test_a_process_that_ends_by_itself_is_told_with_its_last_words(stage: Stage) -> None:
    """The reason for a failure is what the process said."""
    stage.start("broken", "no_such_module")
    with pytest.raises(StageError, match=r"broken ended with 1: .*No module named no_such_module"):
        await up(stage, "broken")


async def test_a_process_that_is_being_ended_is_no_failure(stage: Stage) -> None:
    """Whoever watches meanwhile sees nothing wrong."""
    stage.start("first", "sleeper")
    await up(stage, "first")
    ending = spawn(stage.end("first"), name="end")
    while not ending.done():
        stage.check()
        await asyncio.sleep(0)
    await ending


async def test_patience_has_an_end(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ignores SIGTERM is killed."""
    monkeypatch.setattr(processes, "_GRACE", 0.1)
    stage.start("stubborn", "stubborn")
    await up(stage, "stubborn")
    pid = stage.pid("stubborn")
    await stage.end("stubborn")
    assert is_gone(pid)


async def test_waiting_ends_at_the_deadline(tmp_path: Path) -> None:
    """What never comes true is told as the machine's fault, in the words of who waits."""

    async def never() -> bool:
        return False

    async with Stage(tmp_path, deadline=monotonic()) as stage:
        with pytest.raises(StageError, match="no time left to wait until pigs fly"):
            await stage.until(never, "pigs fly")


async def test_the_users_variables_do_not_reach_the_stage(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry address in the shell would lead the demo's sidecar astray."""
    monkeypatch.setenv("SIDECAR_CONFIG", "x")
    monkeypatch.setenv("NACOS_SERVER_ADDR", "x")
    stage.start("curious", "curious")
    await until(partial(_says, stage, "curious", "end"))
    assert stage.output("curious") == "end\n"


class TestLeaving:
    async def test_the_first_one_ends_last(self, stage: Stage, tmp_path: Path) -> None:
        """The registry is still there while the others say farewell to it."""
        order = tmp_path / "order"
        for name in ("registry", "provider", "sidecar"):
            stage.start(name, "polite", str(order), name)
            await up(stage, name)
        await stage.__aexit__(None, None, None)
        ended = order.read_text().split()
        assert sorted(ended) == ["provider", "registry", "sidecar"]
        assert ended[-1] == "registry"

    async def test_an_error_inside_ends_all(self, stage: Stage) -> None:
        """Whatever happens on the stage, nobody is left on it."""
        pids = []
        with pytest.raises(RuntimeError, match="internal"):  # noqa: PT012 - the block is what is tested
            async with stage:
                for name in ("one", "two"):
                    stage.start(name, "sleeper")
                    await up(stage, name)
                    pids.append(stage.pid(name))
                raise RuntimeError("internal")
        assert all(map(is_gone, pids))

    async def test_a_second_interruption_kills(self, stage: Stage) -> None:
        """Who does not want to wait for the farewells need not, and leaves nobody either."""
        stage.start("stubborn", "stubborn")
        await up(stage, "stubborn")
        pid = stage.pid("stubborn")
        leaving = spawn(stage.__aexit__(None, None, None), name="leave")
        await asyncio.sleep(0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert is_gone(pid)


class TestPorts:
    def test_they_are_free_and_different(self) -> None:
        """All of them can be listened on at once."""
        ports = free_ports(20)
        held = [socket.create_server(("127.0.0.1", port)) for port in ports]
        for one in held:
            one.close()
        assert len(set(ports)) == 20

    @pytest.mark.needs(LINUX)  # the range stands in /proc
    def test_they_lie_below_the_range_of_outgoing_connections(self) -> None:
        """Otherwise any client could take a provider's port while that restarts."""
        lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
        assert max(free_ports(50)) < lowest

    def test_a_taken_port_is_not_offered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A listener of somebody else's is passed over."""
        port = free_port((0, 1))
        with socket.create_server(("127.0.0.1", port)):
            monkeypatch.setattr(processes, "_PORTS", range(port, port + 2))
            assert free_ports(1) == [port + 1]


async def _says(stage: Stage, name: str, word: str) -> bool:
    return word in stage.output(name)
