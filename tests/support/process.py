"""Processes that a test starts: their output kept, their end certain."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.needs import find
from tests.support.until import PATIENCE, until


def run(*command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """A command to its end; raises with all that it said when `check` and it fails."""
    result = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if check and result.returncode:
        raise RuntimeError(f"{command[0]} failed with {result.returncode}:\n{result.stdout}{result.stderr}")
    return result


def is_running(pid: int) -> bool:
    """Whether it is there and more than a zombie, which whoever inherited it may never reap (Linux)."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except (FileNotFoundError, ProcessLookupError):
        return False


class Child:
    """A running program; belongs to no event loop, so fixtures of any scope may hold it."""

    __slots__ = ("_log", "_process", "_start")

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
        niceness: int = 0,
    ) -> None:
        """Starts it; stdout and stderr are appended to `log`. It is killed when the test run dies without a word.

        `niceness` is for what would have a machine of its own, and here must not take the time of what is measured.
        """
        self._log = log
        with log.open("ab") as output:
            self._start = output.tell()
            self._process = subprocess.Popen(
                [*_leash(), *_manners(niceness), *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=None if environment is None else dict(environment),
            )

    def __repr__(self) -> str:
        code = self.exit_code
        return f"<Child {self.pid} {'running' if code is None else f'exit {code}'}>"

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; -9 when signal 9 ended it."""
        return self._process.poll()

    def signal(self, number: int) -> None:
        """Does nothing when it has ended already."""
        self._process.send_signal(number)

    async def ended(self, *, within: float = PATIENCE) -> int:
        """Its exit code, once it has one; raises `TimeoutError`."""

        async def over() -> bool:
            return self.exit_code is not None

        await until(over, within=within, pause=0.01)
        return self._process.returncode

    async def terminate(self, *, within: float = PATIENCE) -> int:
        """SIGTERM, and SIGKILL to what ignores it; the exit code."""
        self._process.terminate()
        try:
            return await self.ended(within=within)
        except TimeoutError:
            return self.kill()

    def kill(self) -> int:
        """SIGKILL; returns when the process is gone."""
        self._process.kill()
        return self._process.wait()

    def output(self) -> str:
        """All it has written so far."""
        with self._log.open("rb") as file:
            file.seek(self._start)
            return file.read().decode(errors="replace")

    def tail(self, lines: int = 60) -> str:
        """The last lines of it."""
        return "\n".join(self.output().splitlines()[-lines:])


def _leash() -> list[str]:
    """A prefix that makes the kernel kill the child together with its parent."""
    setpriv = find("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []


def _manners(niceness: int) -> list[str]:
    return ["nice", "-n", str(niceness)] if niceness else []
