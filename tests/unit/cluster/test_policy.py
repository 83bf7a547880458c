"""Policies are values."""

import dataclasses

import pytest

from sidecar.cluster import policy
from sidecar.cluster.policy import AllButOne, Balancing, OnEmpty, Probe, RetryOn, ServicePolicy

FROZEN = [c for c in vars(policy).values() if isinstance(c, type) and dataclasses.is_dataclass(c)]


@pytest.mark.parametrize("section", FROZEN)
def test_sections_cannot_be_changed(section: type) -> None:
    """Every section is frozen: a reload replaces it."""
    assert section.__dataclass_params__.frozen  # type: ignore[attr-defined]


def test_a_name_is_all_a_service_needs() -> None:
    """The defaults are those of the contract."""
    orders = ServicePolicy("orders")
    assert orders.protection.on_empty is OnEmpty.HOLD
    assert orders.protection.probe is Probe.TCP
    assert orders.load_balancing.policy is Balancing.LEAST_REQUEST
    assert orders.outlier_detection.max_ejected is AllButOne.ALL_BUT_ONE
    assert RetryOn.GATEWAY_ERROR not in orders.retry.retry_on


def test_policies_of_equal_sections_are_equal() -> None:
    """A reload can tell by comparison that nothing changed."""
    assert ServicePolicy("orders") == ServicePolicy("orders")
