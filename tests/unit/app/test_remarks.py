"""Claims about what is said of lists on the event log."""

import pytest

from sidecar.app.remarks import Remarks
from sidecar.cluster.instance import Origin
from sidecar.cluster.membership import EMPTY_BELIEVED
from sidecar.cluster.policy import Discovery
from tests.support.clusters import Stage


def looked_at(stage: Stage, remarks: Remarks | None = None) -> None:
    """Twice, as every quarter of a second."""
    remarks = remarks or Remarks()
    for _ in range(2):
        remarks.look(stage.cluster)


def test_a_service_that_nobody_provides_is_warned_about_once(caplog: pytest.LogCaptureFixture) -> None:
    """Not before its empty list is believed; with the name and the group that were asked for."""
    stage = Stage(discovery=Discovery(service="oder-service", group="SHOP"))
    remarks = Remarks()
    looked_at(stage, remarks)
    stage.lists("")
    looked_at(stage, remarks)
    assert caplog.messages == []
    stage.wait(EMPTY_BELIEVED + 0.1)
    looked_at(stage, remarks)
    (said,) = caplog.messages
    assert said.startswith("orders: no instance has ever been listed of service oder-service in group SHOP: check")


def test_a_service_whose_instances_are_all_filtered_out_is_told_apart(caplog: pytest.LogCaptureFixture) -> None:
    """The name is right, the filters are too narrow."""
    stage = Stage(discovery=Discovery(clusters=("NOWHERE",)))
    stage.lists("ab")
    stage.wait(EMPTY_BELIEVED + 0.1)
    looked_at(stage)
    assert caplog.messages == [
        "orders: none of the 2 instances listed passes discovery.clusters and discovery.metadata"
    ]


@pytest.mark.parametrize("origin", [Origin.NACOS, Origin.DISK])
def test_a_service_that_was_once_listed_is_not_remarked(caplog: pytest.LogCaptureFixture, origin: Origin) -> None:
    """By the registry or on disk: the name is right, and an empty list has events of its own."""
    stage = Stage()
    stage.lists("a", origin=origin, epoch=0)
    stage.lists("")
    stage.wait(EMPTY_BELIEVED + 0.1)
    looked_at(stage)
    assert caplog.messages == []


def test_an_unreadable_list_is_told_once_for_each_reason(caplog: pytest.LogCaptureFixture) -> None:
    """And again once lists have been readable in between."""
    remarks = Remarks()
    for error in ("hosts is null", "hosts is null", "port is x"):
        remarks.unreadable("orders", error)
    remarks.readable("orders")
    remarks.unreadable("orders", "port is x")
    reasons = [message.rpartition(": ")[2] for message in caplog.messages]
    assert reasons == ["hosts is null", "port is x", "port is x"]
