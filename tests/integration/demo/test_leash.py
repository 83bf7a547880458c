"""A program on a leash ends with whoever started it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.needs import LINUX
from tests.support.process import Child, is_running
from tests.support.until import until

pytestmark = [
    pytest.mark.own_process,
    pytest.mark.needs(LINUX),
]

STARTER = """\
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-m", "sidecar.demo.leash", str(os.getpid()), "sleeper", "for", "long"])
time.sleep(600)
"""
SLEEPER = "import os, sys, time; print(os.getpid(), *sys.argv[1:], flush=True); time.sleep(600)\n"


async def test_it_runs_the_program_and_ends_with_its_starter(tmp_path: Path) -> None:
    """The arguments arrive; SIGKILL to the starter, which it cannot hear, ends the program as well."""
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), os.getcwd()))}  # noqa: PTH109 - a text
    starter = Child([sys.executable, "-c", STARTER], log=tmp_path / "log", environment=environment)

    async def runs() -> bool:
        assert starter.exit_code is None, starter.tail()
        return starter.output().endswith("\n")

    async def gone() -> bool:
        return not is_running(int(pid))

    await until(runs)
    pid, *arguments = starter.output().split()
    assert arguments == ["for", "long"]
    starter.kill()
    await until(gone)


def test_a_starter_that_is_gone_already_starts_nothing() -> None:
    """The program does not run for nobody."""
    done = subprocess.run(
        [sys.executable, "-m", "sidecar.demo.leash", "-1", "sleeper"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "has ended before it began" in done.stderr
