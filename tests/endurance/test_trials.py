"""A small version of each flood, all at the same time, each on a process of its own; `make endurance` plays them in full."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest
import pytest_asyncio

from tests.endurance.ground import Seen
from tests.endurance.trials import TRIALS, Trial

pytestmark = [pytest.mark.one_loop, pytest.mark.asyncio(loop_scope="module")]

_MIB = 1 << 20
_SMALL = 8
"""MiB beyond the start: the buffers of a few busy connections."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seen(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mapping[str, Seen]]:
    """What came of each."""

    async def play(trial: Trial) -> Seen:
        return await trial.play(tmp_path_factory.mktemp("flood"), trial.small, 1)

    outcomes = await asyncio.gather(*map(play, TRIALS))
    yield {trial.what: outcome for trial, outcome in zip(TRIALS, outcomes, strict=True)}


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.play.__name__)
async def test_a_flood_is_told_off_and_leaves_nothing_behind(seen: Mapping[str, Seen], trial: Trial) -> None:
    """Others are served meanwhile; memory stays flat, and every descriptor comes back."""
    one = seen[trial.what]
    assert all(map(trial.told.fullmatch, one.told)), one.told
    assert one.peak < _SMALL * _MIB
    assert one.files <= 0
