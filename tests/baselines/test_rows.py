"""A few situations of the comparison, played shortly: the sidecar keeps what is promised, and the others show that it counts."""

import asyncio
from functools import partial
from pathlib import Path

import pytest

from tests.baselines import rows

pytestmark = pytest.mark.one_loop


async def test_a_large_post_is_not_lost_to_a_refusing_instance(tmp_path: Path) -> None:
    """3 MB, never kept: the connection is made before the body is read."""
    outcome = await rows.refusing("sidecar", tmp_path, body=rows.THREE_MB, calls=12)
    assert (outcome.failed, outcome.duplicated) == (0, 0), outcome.answers


@pytest.mark.needs("haproxy")
async def test_an_empty_list_costs_calls_only_where_it_is_believed(tmp_path: Path) -> None:
    """HAProxy is told to use nobody and does; the sidecar goes on with those that answer."""
    play = partial(rows.emptied, folder=tmp_path, calls=20)
    ours, theirs = await asyncio.gather(play("sidecar"), play("haproxy"))
    assert ours.failed == 0, ours.answers
    assert theirs.failed == 20


async def test_an_instance_that_answers_500_is_left(tmp_path: Path) -> None:
    """After five answers at most, of the twenty that are its share; they are passed on as they are."""
    outcome = await rows.failing("sidecar", tmp_path, calls=60)
    assert 1 <= outcome.failed <= 5, outcome.answers


@pytest.mark.needs("nginx")
async def test_posts_survive_idle_connections_that_close_just_now(tmp_path: Path) -> None:
    """The first one teaches the sidecar when the instance closes; nginx loses one after the other, and none runs twice."""
    play = partial(rows.idle_race, folder=tmp_path, body=20, calls=16)
    ours, theirs = await asyncio.gather(play("sidecar"), play("nginx"))
    assert ours.failed <= 1, ours.answers
    assert ours.duplicated == 0
    assert theirs.failed >= 2
