"""What the server says."""

import json

from sidecar.embedded import messages
from sidecar.embedded.model import ServiceName


def test_answers_carry_the_codes_that_clients_read() -> None:
    """Success is 200/0, an error 500 with its errorCode."""
    good, bad = messages.ok("HealthCheckResponse"), messages.error(301, "gone")
    assert json.loads(good.body) == {"resultCode": 200, "errorCode": 0, "success": True}
    assert (bad.type, json.loads(bad.body)["errorCode"], json.loads(bad.body)["message"]) == (
        "ErrorResponse",
        301,
        "gone",
    )


def test_lists_are_put_into_messages_as_they_are() -> None:
    """The JSON of a list becomes the value of `serviceInfo`, in answers and in pushes."""
    answer = messages.with_list("QueryServiceResponse", b'{"hosts":[]}')
    push = messages.notify("7", b'{"hosts":[]}', None)
    assert json.loads(answer.body)["serviceInfo"] == {"hosts": []}
    assert json.loads(push.body) == {"headers": {}, "requestId": "7", "module": "naming", "serviceInfo": {"hosts": []}}


def test_a_push_can_name_its_service() -> None:
    """As those of r-nacos do."""
    named = json.loads(messages.notify("7", b"{}", ServiceName("orders", "G", "dev")).body)
    assert (named["namespace"], named["groupName"], named["serviceName"]) == ("dev", "G", "orders")


def test_requests_on_the_stream_carry_their_id() -> None:
    """What has to be acked says by which id."""
    for request in (messages.setup_ack("1"), messages.client_detection("1"), messages.connect_reset("1")):
        assert json.loads(request.body)["requestId"] == "1"
    assert "serverIp" not in json.loads(messages.connect_reset("1").body)
    assert json.loads(messages.connect_reset("1", "10.0.0.9", "8848").body)["serverPort"] == "8848"
