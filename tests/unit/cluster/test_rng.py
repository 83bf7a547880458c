"""Jitter."""

import random

import pytest

from sidecar.cluster.rng import jittered


def test_jitter_stays_within_a_fifth_either_way() -> None:
    """A thousand jittered seconds lie in 0.8..1.2 and are spread over most of it."""
    rng = random.Random(1)
    values = [jittered(1.0, rng) for _ in range(1000)]
    assert 0.8 <= min(values) < 0.82
    assert 1.18 < max(values) <= 1.2
    assert sum(values) / len(values) == pytest.approx(1.0, abs=0.01)
