"""Latches open one by one, and only the last can close."""

import pytest

from sidecar.admin.health import Latch, complaint, is_ready, latches


def test_every_latch_has_a_name_and_a_reason_while_it_is_closed() -> None:
    """Before anything has happened all but one are closed, each saying what it waits for."""
    assert latches(configured=False, listening=False, services=[("orders", False)], draining=False) == (
        Latch("config", open=False, why="no configuration loaded yet"),
        Latch("listeners", open=False, why="not every listener is bound yet"),
        Latch("service/orders", open=False, why="no instance list yet"),
        Latch("not_draining", open=True, why=None),
    )


def test_ready_means_that_all_are_open() -> None:
    """One service without a list is enough not to be ready; without required services none can be missing."""
    done = {"configured": True, "listening": True, "draining": False}
    assert is_ready(latches(**done, services=[("a", True), ("b", True)]))
    assert not is_ready(latches(**done, services=[("a", True), ("b", False)]))
    assert is_ready(latches(**done, services=[]))


def test_draining_closes_readiness() -> None:
    """The only latch that closes again."""
    closed = [x for x in latches(configured=True, listening=True, services=[], draining=True) if not x.open]
    assert closed == [Latch("not_draining", open=False, why="draining")]


@pytest.mark.parametrize(("lag", "said"), [(0.0, None), (4.99, None), (5.0, "lag 5.0s"), (7.24, "lag 7.2s")])
def test_a_loop_that_is_five_seconds_late_is_not_healthy(lag: float, said: str | None) -> None:
    """Below that limit a restart would cost more than the lag."""
    assert complaint(lag) == said
