"""The demo as a user runs it: what it proves, in which words, and that nothing is left of it."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from sidecar.demo import story
from sidecar.demo.processes import StageError
from sidecar.demo.story import Options, tell
from tests.support.http_client import request
from tests.support.needs import LINUX
from tests.support.process import is_running
from tests.support.until import PATIENCE, until

pytestmark = pytest.mark.own_process

SUMMARY = re.compile(r"direct: (\d+) calls, (\d+) failed; sidecar: (\d+) calls, 0 failed, 0 duplicated, (\d+) rescued")


IN_ITS_OWN_TIME = """\
import sys
from sidecar.demo import timing
timing.LATEST = 240.0
from sidecar.demo import callers, processes
callers._LATE = 60.0
callers._TIMEOUT = callers.aiohttp.ClientTimeout(sock_connect=30.0, total=60.0)
processes._GRACE = 60.0
from sidecar.cli import main
sys.exit(main())
"""
"""The program without the limits that keep it within a minute: a machine that is too busy for that proves the same."""

WHOLE_RUN = 300.0


class Demo:
    """The command in a process of its own, stdout and stderr apart."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self._out, self._err = folder / "out", folder / "err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-c", IN_ITS_OWN_TIME, "demo", *flags], stdout=out, stderr=err, start_new_session=True
            )

    @property
    def result(self) -> str:
        return self._out.read_text()

    @property
    def progress(self) -> str:
        return self._err.read_text()

    def family(self) -> dict[int, str]:
        """Every process that it has started, with its command line."""
        return dict(_descendants(self.process.pid))

    async def says(self, text: str) -> None:
        """Returns when the progress has come this far."""

        async def said() -> bool:
            assert self.process.poll() is None, self.progress
            return text in self.progress

        await until(said, within=WHOLE_RUN)

    async def ended(self) -> int:
        """Its exit code."""

        async def over() -> bool:
            return self.process.poll() is not None

        await until(over, within=WHOLE_RUN)
        return self.process.returncode


@asynccontextmanager
async def demo(folder: Path, *flags: str) -> AsyncIterator[Demo]:
    """A demo that is ended with the block, if it has not ended before."""
    running = Demo(folder, *flags)
    try:
        yield running
    finally:
        running.process.terminate()
        await asyncio.to_thread(running.process.wait, PATIENCE)


@pytest.mark.scenario("S-01")
async def test_a_run_proves_the_point_and_says_so_in_json(tmp_path: Path) -> None:
    """Exit 0; at least 95 % of the load sent, none of it lost or repeated by the sidecar, some of it saved."""
    async with demo(tmp_path, "--duration", "15s", "--rate", "40", "--format", "json") as run:
        assert await run.ended() == 0, run.progress
        verdict = json.loads(run.result)
        assert verdict["direct"]["calls"] >= 570
        assert verdict["direct"]["failed"] >= 1
        assert verdict["sidecar"]["calls"] >= 570
        assert (verdict["sidecar"]["failed"], verdict["sidecar"]["duplicated"]) == (0, 0)
        assert list(verdict["sidecar"]["rescued"]) == ["retry", "wait", "guard", "proof", "address"]
        assert verdict["sidecar"]["rescued"]["guard"] >= 1
        assert run.progress.count("is registered again") == 3
        assert "the registry claims that no provider is left (false)" in run.progress


async def test_kept_running_it_tells_the_result_first_and_everybody_serves(tmp_path: Path) -> None:
    """With --keep the last line stands there while the sidecar still answers; a signal ends all, with the same 0."""
    async with demo(tmp_path, "--duration", "5s", "--keep") as run:
        await run.says("everything keeps running until Ctrl-C")
        await until(lambda: _has_result(run))
        assert SUMMARY.fullmatch(run.result.splitlines()[-1])
        address = re.findall(r"curl http://127.0.0.1:(\d+)/echo/1 ", run.progress)[0]
        assert (await request(int(address), path="/echo/1")).status == 200
        family = run.family()
        assert len(family) == 5
        run.process.send_signal(signal.SIGHUP)
        assert await run.ended() == 0
        assert not _alive(family)


@pytest.mark.parametrize(
    ("moment", "number"), [("starting the sidecar", signal.SIGTERM), (" calls/s a caller for ", signal.SIGINT)]
)
async def test_a_signal_ends_every_process(tmp_path: Path, moment: str, number: signal.Signals) -> None:
    """Interrupted while it starts or in the middle of the load: exit 3, a reason, and nobody is left."""
    async with demo(tmp_path) as run:
        await run.says(moment)
        await until(lambda: _has_family(run, 5))
        family = run.family()
        run.process.send_signal(number)
        assert await run.ended() == 3
        assert not _alive(family)
        assert run.progress.endswith("not proven: interrupted, and everything that was started has been ended\n")
        assert run.result == ""


@pytest.mark.needs(LINUX)
async def test_a_demo_that_is_killed_leaves_nobody(tmp_path: Path) -> None:
    """SIGKILL, which it cannot hear: registry, providers and sidecar end with it."""
    async with demo(tmp_path) as run:
        await run.says("starting the sidecar")
        await until(lambda: _has_family(run, 5))
        family = run.family()
        run.process.kill()
        await until(lambda: _is_gone(family))


async def test_a_failure_of_its_own_is_told_and_leaves_nobody(tmp_path: Path) -> None:
    """The sidecar is killed under the load: exit 3, its end is named, and nobody is left."""
    async with demo(tmp_path) as run:
        await run.says(" calls/s a caller for ")
        family = run.family()
        (sidecar,) = (pid for pid, command in family.items() if " run " in command)
        os.kill(sidecar, signal.SIGKILL)
        assert await run.ended() == 3
        assert not _alive(family)
        assert "not proven: sidecar ended with -9: " in run.progress
        assert "Traceback" not in run.progress


class TestTell:
    """What becomes of the command's answer, with a scene that cannot be set."""

    OPTIONS = Options(duration=10.0, rate=1, keep=False, as_json=False)

    def test_a_stage_that_fails_proves_nothing(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The reason is told on stderr, stdout stays empty."""
        monkeypatch.setattr(story, "set_scene", _fails_with(StageError("no ports left")))
        assert tell(self.OPTIONS) is False
        assert capsys.readouterr() == ("", "\nnot proven: no ports left\n")

    def test_a_start_that_takes_the_whole_minute_is_given_up(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """No load is begun that could not be told to its end in time."""
        times = iter([1000.0, 1040.0])
        monkeypatch.setattr(story, "monotonic", lambda: next(times))
        monkeypatch.setattr(story, "set_scene", _fails_with(None))
        assert tell(self.OPTIONS) is False
        assert "the machine is too busy: starting everything took too much of the minute" in capsys.readouterr().err

    def test_an_error_of_ours_is_not_hidden(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What nobody expected leaves with its traceback."""
        monkeypatch.setattr(story, "set_scene", _fails_with(ZeroDivisionError()))
        with pytest.raises(ZeroDivisionError):
            tell(self.OPTIONS)


def _fails_with(error: Exception | None) -> Callable[..., Awaitable[None]]:
    async def fail(*_: object) -> None:
        if error is not None:
            raise error

    return fail


async def _has_result(run: Demo) -> bool:
    return run.result.endswith("rescued\n")


async def _has_family(run: Demo, members: int) -> bool:
    return len(run.family()) == members


async def _is_gone(family: dict[int, str]) -> bool:
    return not _alive(family)


def _descendants(pid: int) -> Iterator[tuple[int, str]]:
    with suppress(FileNotFoundError, ProcessLookupError):  # who ends while we look is none any more
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield int(child), Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
            yield from _descendants(int(child))


def _alive(family: dict[int, str]) -> list[str]:
    """Those of them that still run."""
    return [command for pid, command in family.items() if is_running(pid)]
