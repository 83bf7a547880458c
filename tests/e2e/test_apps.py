"""Unmodified Spring Cloud apps of two eras, three rows of their trial: `tests/apps_trial`, in short."""

import sys

import pytest

from tests.apps_trial import network
from tests.support.java import TOOLS
from tests.support.process import run


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
