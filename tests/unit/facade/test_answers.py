"""Messages of ours."""

import json

import pytest

from sidecar.facade import answers
from sidecar.facade.names import Named


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("InstanceRequest", "InstanceResponse"),
        ("ConfigQueryRequest", "ConfigQueryResponse"),
        ("SubscribeServiceRequest", "SubscribeServiceResponse"),
        ("SomethingNewRequest", "ErrorResponse"),
    ],
)
def test_a_request_fails_with_an_answer_of_its_type(asked: str, answered: str) -> None:
    """One that is not known with an error; never with success."""
    payload = answers.failed(asked)
    body = json.loads(payload.body)
    assert (payload.type, body["success"], body["resultCode"]) == (answered, False, 500)


def test_a_check_negotiates_nothing() -> None:
    """A client that was promised abilities would wait for them."""
    body = json.loads(answers.checked("1_a_2").body)
    assert (body["connectionId"], body["supportAbilityNegotiation"], body["success"]) == ("1_a_2", False, True)


def test_health_is_good_or_the_connection_is_unknown() -> None:
    """The latter makes clients open another one."""
    assert json.loads(answers.healthy().body)["success"] is True
    assert json.loads(answers.unregistered().body)["errorCode"] == 301


def test_lists_stand_where_clients_look_for_them() -> None:
    """In an answer, in a push, and named as 1.x does."""
    info = answers.service_info(Named.of("orders", "G"), "A", '{"ip":"x"}', 7)
    answer, push = answers.with_list("ServiceQueryRequest", info), answers.pushed("sidecar-1", info)
    assert answer.type == "QueryServiceResponse"
    for payload in (answer, push):
        found = json.loads(payload.body)["serviceInfo"]
        assert (found["name"], found["clusters"], found["lastRefTime"], found["hosts"]) == (
            "orders",
            "A",
            7,
            [{"ip": "x"}],
        )
    assert json.loads(push.body)["requestId"] == "sidecar-1"
    assert json.loads(answers.service_info(Named.of("orders", "G"), "", "", 7, grouped=True))["name"] == "G@@orders"
