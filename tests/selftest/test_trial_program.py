"""How the trial goes from row to row, and how its instances get into the registry."""

from pathlib import Path
from typing import Any

import pytest

from sidecar.embedded.registry import EmbeddedRegistry
from tests.selftest.test_trial_report import result
from tests.support.until import until
from tests.trial import program
from tests.trial.enrolment import Enrolment
from tests.trial.ground import Ground
from tests.trial.program import Program
from tests.trial.row import Row, nothing

ROWS = [Row(name, name, nothing, drops_packets=name == "hole") for name in ("breaks", "hole", "ends", "well")]


@pytest.mark.one_loop
async def test_whatever_becomes_of_a_row_the_next_one_is_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One breaks, one cannot be played here, one leaves the registry down: the last finds it serving."""

    async def play(row: Row, name: str, ground: Ground, folder: Path, *, rate: float) -> Any:
        assert await ground.instances("nobody") == set()
        if row.id == "ends":
            await ground.stop()
        if row.id == "breaks":
            raise RuntimeError("no such thing\nand more of it")
        return result().played

    monkeypatch.setattr(program, "play", play)
    told: list[str] = []
    trial = Program(["embedded"], ROWS, tmp_path, rate=1.0, say=told.append)
    assert [one.misses for one in trial.results] == [["not played"]] * 4
    await trial.play()
    breaks, hole, *others = trial.results
    assert breaks.misses == ["RuntimeError: no such thing"]
    assert "and more of it" in (tmp_path / "embedded" / "breaks" / "broken").read_text()
    assert (hole.played, hole.misses) == (None, [])
    assert [one.played is not None for one in others] == [True, True]
    assert "well: 1/0/1 failed" in told


async def test_an_instance_is_registered_for_as_long_as_its_provider_lives() -> None:
    """Also by a registry that has restarted meanwhile; it goes with a word or without."""
    async with EmbeddedRegistry() as registry:
        mine = Enrolment(registry.port, "orders", 1001)

        async def listed() -> bool:
            return [one.port for one in registry.instances("orders")] == [1001]

        async def gone() -> bool:
            return not registry.instances("orders")

        for leave in (mine.leave, mine.vanish):
            mine.begin()
            await until(listed)
            await registry.stop()
            await registry.start()
            await until(listed)
            await leave()
            await until(gone)
