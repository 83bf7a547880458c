"""That the comparison with nginx runs; its figures are for reading."""

import re

import pytest

from tests.bench.__main__ import main
from tests.support import cpu
from tests.support.needs import missing


@pytest.mark.needs("wrk", "nginx")
def test_both_are_measured_and_compared(capsys: pytest.CaptureFixture[str]) -> None:
    """A short run shows a cost of each and their ratio."""
    if len(cpu.cores()) < 2:
        missing("proxy and load need a core each")
    assert main(["--rounds", "1", "--seconds", "1", "--connections", "4"]) == 0
    shown = capsys.readouterr().out
    assert re.findall(r"^(nginx|sidecar) +\d+\.\d ", shown, re.MULTILINE) == ["nginx", "sidecar"]
    assert re.search(r"^sidecar / nginx: \d+\.\d\d \(", shown, re.MULTILINE)
