"""Malformed and untrue lists."""

from typing import Any

import pytest

from sidecar.embedded.faults import ForcedList, Shape
from sidecar.embedded.listing import derive
from sidecar.embedded.model import Instance, ServiceName
from sidecar.embedded.shapes import forced

INFO = derive(ServiceName("orders"), [Instance("10.0.0.1", 80), Instance("10.0.0.2", 80)]).as_dict(1)


def _forced(shape: Shape, **fields: Any) -> dict[str, Any]:
    return forced(INFO, ForcedList(shape=shape, **fields))


@pytest.mark.parametrize("shape", Shape)
def test_every_shape_is_made_and_leaves_the_list_alone(shape: Shape) -> None:
    """Each forced list differs from the true one, which stays as it was."""
    before = repr(INFO)
    assert _forced(shape) != INFO
    assert repr(INFO) == before


def test_each_shape_breaks_what_it_names() -> None:
    """Empty, partial, null, missing, unknown, large and wrong are what they say."""
    assert _forced(Shape.EMPTY)["hosts"] == []
    assert len(_forced(Shape.PARTIAL, keep=1)["hosts"]) == 1
    assert _forced(Shape.HOSTS_NULL)["hosts"] is None
    assert _forced(Shape.METADATA_NULL)["hosts"][0]["metadata"] is None
    assert "instanceId" not in _forced(Shape.NO_INSTANCE_ID)["hosts"][0]
    assert "futureField" in _forced(Shape.UNKNOWN_FIELDS)
    assert len({host["ip"] for host in _forced(Shape.LARGE, hosts=300)["hosts"]}) == 300
    assert _forced(Shape.WRONG_GROUP)["groupName"] == "OTHER_GROUP"


def test_a_large_list_needs_no_host_to_copy() -> None:
    """A service without instances can be made large too."""
    assert len(forced({**INFO, "hosts": []}, ForcedList(shape=Shape.LARGE, hosts=2))["hosts"]) == 2
