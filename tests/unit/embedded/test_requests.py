"""What requests do, without a wire."""

from typing import Any, cast

import pytest

from sidecar.embedded.auth import Doorman
from sidecar.embedded.connections import Connection, Connections
from sidecar.embedded.faults import Auth
from sidecar.embedded.gate import Link
from sidecar.embedded.in_force import Faults
from sidecar.embedded.model import Instance, ServiceName
from sidecar.embedded.pushes import Pushes
from sidecar.embedded.requests import Requests, read_body
from sidecar.wire import Payload, dump

ORDERS = ServiceName("orders")
ADDRESS = {"ip": "10.0.0.1", "port": 80, "weight": 2.0, "clusterName": "east", "metadata": {"zone": "a"}}


class _Desk:
    """A naming client at a registry whose event loop is the test's."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.pushes = Pushes(Connections(), self.faults)
        self._requests = Requests(self.pushes, Doorman(self.faults))
        self.connection = Connection("c1", cast("Link", None), "v", "public", {"module": "naming"}, 0.0)

    def ask(self, kind: str, **body: Any) -> dict[str, Any]:
        answer = self._requests.answer(self.connection, Payload(kind, dump(body)))
        return {"is": answer.type, **read_body(answer)}

    @property
    def registered(self) -> tuple[Instance, ...]:
        return self.pushes.naming.instances(ORDERS)


@pytest.fixture
async def desk() -> _Desk:
    return _Desk()


async def test_an_instance_is_registered_with_all_its_fields(desk: _Desk) -> None:
    """What the client says of its instance is what is listed."""
    answer = desk.ask("InstanceRequest", serviceName="orders", type="registerInstance", instance=ADDRESS)
    assert (answer["is"], answer["type"]) == ("InstanceResponse", "registerInstance")
    assert desk.registered == (Instance("10.0.0.1", 80, weight=2.0, cluster="east", metadata={"zone": "a"}),)


async def test_deregistering_takes_back_whatever_the_client_registered(desk: _Desk) -> None:
    """As on the Java server the address in the request does not matter."""
    desk.ask("InstanceRequest", serviceName="orders", type="registerInstance", instance=ADDRESS)
    desk.ask("InstanceRequest", serviceName="orders", type="deregisterInstance", instance={"ip": "1.1.1.1", "port": 1})
    assert desk.registered == ()


async def test_a_batch_replaces_all_at_once(desk: _Desk) -> None:
    """A second batch of one client overwrites the first."""
    for count in (3, 2):
        batch = [{"ip": "10.0.0.1", "port": port} for port in range(count)]
        desk.ask("BatchInstanceRequest", serviceName="orders", type="batchRegisterInstance", instances=batch)
    assert [instance.port for instance in desk.registered] == [0, 1]


async def test_a_persistent_instance_outlives_its_client(desk: _Desk) -> None:
    """It belongs to its address, not to the connection."""
    desk.ask("PersistentInstanceRequest", serviceName="orders", type="registerInstance", instance=ADDRESS)
    desk.pushes.naming.withdraw_client("c1")
    assert [instance.ephemeral for instance in desk.registered] == [False]
    desk.ask("PersistentInstanceRequest", serviceName="orders", type="deregisterInstance", instance=ADDRESS)
    assert desk.registered == ()


async def test_subscriptions_come_and_go(desk: _Desk) -> None:
    """`subscribe: false` ends what `true` began; both are answered with the list."""
    for wanted, count in ((True, 1), (False, 0)):
        answer = desk.ask("SubscribeServiceRequest", serviceName="orders", subscribe=wanted)
        assert (answer["is"], answer["serviceInfo"]["hosts"]) == ("SubscribeServiceResponse", [])
        assert len(desk.connection.subscriptions) == count


async def test_services_are_listed_by_page(desk: _Desk) -> None:
    """The count is that of all pages."""
    for name in "abc":
        desk.ask("InstanceRequest", serviceName=name, type="registerInstance", instance=ADDRESS)
    answer = desk.ask("ServiceListRequest", groupName="DEFAULT_GROUP", pageNo=2, pageSize=2)
    assert (answer["count"], answer["serviceNames"]) == (3, ["c"])


@pytest.mark.parametrize(
    ("kind", "body", "words"),
    [
        ("ServiceQueryRequest", {}, "serviceName is missing"),
        ("InstanceRequest", {"serviceName": "s", "type": "odd"}, "unknown type 'odd'"),
        ("InstanceRequest", {"serviceName": "s", "type": "registerInstance"}, "not readable"),
        ("ServiceListRequest", {"pageNo": "x"}, "not readable"),
    ],
)
async def test_a_request_that_makes_no_sense_is_refused(
    desk: _Desk, kind: str, body: dict[str, Any], words: str
) -> None:
    """It is answered with errorCode 500 and the reason, and nothing is registered."""
    answer = desk.ask(kind, **body)
    assert (answer["is"], answer["errorCode"]) == ("ErrorResponse", 500)
    assert words in answer["message"]


@pytest.mark.parametrize("body", [b"{", b"[]"])
async def test_a_body_that_is_no_object_is_refused(desk: _Desk, body: bytes) -> None:
    """Whatever the type of the request."""
    answer = desk._requests.answer(desk.connection, Payload("HealthCheckRequest", body))
    assert answer.type == "ErrorResponse"


async def test_a_stranger_is_refused_all_but_a_health_check(desk: _Desk) -> None:
    """With users there, every naming request without a token is answered 403; a sign of life is anybody's."""
    desk.faults.set(Auth())
    for kind in ("SubscribeServiceRequest", "ServiceQueryRequest", "InstanceRequest", "ServiceListRequest"):
        answer = desk.ask(kind, serviceName="orders", type="registerInstance", instance=ADDRESS)
        assert (answer["is"], answer["errorCode"]) == ("ErrorResponse", 403)
    assert desk.registered == ()
    assert desk.ask("HealthCheckRequest")["is"] == "HealthCheckResponse"
