"""A message that holds a list."""

import asyncio
import json
from typing import Any

import pytest

from sidecar.cluster.instance import Instance
from sidecar.discovery.gradual import A_TURN
from sidecar.discovery.listing import Hosts
from sidecar.discovery.message import MessageReader
from sidecar.discovery.session import Listing, ServiceKey, Unreadable

HOST = {"ip": "10.0.0.1", "port": 80, "metadata": {"v": "1"}}


def body(*hosts: Any, **changes: Any) -> bytes:
    info = {"name": "orders", "groupName": "G", "hosts": list(hosts), "reachProtectionThreshold": True}
    return json.dumps({"requestId": "7", "serviceInfo": {**info, **changes}}).encode()


def many(count: int) -> list[Any]:
    return [{**HOST, "port": port} for port in range(1, count + 1)]


async def test_fields_and_list_come_apart() -> None:
    """Whom it is about, what came with it, and the list with its flag."""
    message = await MessageReader().read(body(HOST, name="G@@orders"))
    assert message.fields["requestId"] == "7"
    assert message.key == ServiceKey("orders", "G")
    assert message.listing == Listing((Instance("10.0.0.1", 80, metadata={"v": "1"}),), protect=True)


async def test_a_list_in_one_piece_is_read_as_well() -> None:
    """A provider that calls its metadata `hosts` costs the pieces, not the list."""
    message = await MessageReader().read(body({**HOST, "metadata": {"hosts": "x"}}))
    assert [dict(one.metadata) for one in message.listing.instances] == [{"hosts": "x"}]


async def test_hosts_in_another_place_are_no_list() -> None:
    """A field of the future, perhaps; whose they are is not known."""
    message = await MessageReader().read(b'{"hosts": [{"ip": "10.0.0.1", "port": 80}], "serviceInfo": {"name": "a"}}')
    assert isinstance(message.found, Unreadable)


@pytest.mark.parametrize("changes", [{"hosts": None}, {"hosts": {}}, {"hosts": [HOST, None]}, {"hosts": [{}]}])
async def test_what_is_no_list_is_told_as_such(changes: dict[str, Any]) -> None:
    """The message can be answered all the same, and nothing in it counts as an empty list."""
    message = await MessageReader().read(body(**changes))
    assert (message.fields["requestId"], message.key) == ("7", ServiceKey("orders", "G"))
    with pytest.raises(Unreadable):
        _ = message.listing


async def test_a_message_without_a_list_says_so() -> None:
    """An error's body, for one."""
    message = await MessageReader().read(b'{"requestId": "7", "errorCode": 403, "serviceInfo": null}')
    assert message.fields["errorCode"] == 403
    assert isinstance(message.found, Unreadable)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff{}", b'"hosts":[1]'])
async def test_what_is_no_message_is_refused(text: bytes) -> None:
    """ValueError, and the next one is read."""
    reader = MessageReader()
    with pytest.raises(ValueError):  # noqa: PT011 - of several kinds
        await reader.read(text)
    assert (await reader.read(body())).listing == Listing((), protect=True)


async def test_from_list_to_list_what_stays_is_the_same_object() -> None:
    """Of one service; an unreadable list between two changes nothing."""
    reader = MessageReader()
    first = (await reader.read(body(*many(3)))).listing
    await reader.read(body(hosts=None))
    second = (await reader.read(body(*many(4)))).listing
    assert all(new is old for new, old in zip(second.instances, first.instances, strict=False))
    other = (await reader.read(body(*many(3), name="stock"))).listing
    assert other == first
    assert other.instances[0] is not first.instances[0]


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every host that was looked at."""
    looked_at: list[Any] = []
    take = Hosts.take

    def note(self: Hosts, host: Any) -> None:
        looked_at.append(host)
        take(self, host)

    monkeypatch.setattr(Hosts, "take", note)
    return looked_at


async def test_a_list_that_comes_again_word_for_word_is_not_read_again(taken: list[Any]) -> None:
    """The instances are those of before, the flag and the other fields those of the message."""
    reader, orders = MessageReader(), ServiceKey("orders", "G")
    first = await reader.read(body(*many(3)))
    taken.clear()
    again = await reader.read(body(*many(3), reachProtectionThreshold=False, lastRefTime=7), orders)
    assert taken == []
    assert again.listing.instances is first.listing.instances
    assert (again.listing.protect, again.fields["serviceInfo"]["lastRefTime"]) == (False, 7)


@pytest.mark.parametrize(
    "other",
    [
        body(*many(2)),
        body(*many(4)),
        body(*many(2), {**HOST, "port": 9}),
        body(*many(3), name="stock"),
        body(*many(3)) + b" ",
        body(),
        b'{"requestId": "7", "errorCode": 500, "serviceInfo": null}',
        b'{"hosts": [], "serviceInfo": null}',
    ],
)
async def test_any_other_answer_is_read_as_if_nothing_had_been_before(other: bytes) -> None:
    """A host less, a host more, another one in its place, another service, no list."""
    reader = MessageReader()
    await reader.read(body(*many(3)))
    seen, fresh = await reader.read(other, ServiceKey("orders", "G")), await MessageReader().read(other)
    assert (seen.fields, seen.key, repr(seen.found)) == (fresh.fields, fresh.key, repr(fresh.found))


async def test_long_messages_are_read_one_after_the_other() -> None:
    """While one is being read the loop turns, a hundred hosts a turn, and the next one waits for its end."""
    reader, ends, turns = MessageReader(), list[str](), list[int]()

    async def read(name: str, count: int) -> None:
        await reader.read(body(*many(count), name=name))
        ends.append(name)

    def turn() -> None:
        turns.append(len(ends))
        asyncio.get_running_loop().call_soon(turn)

    asyncio.get_running_loop().call_soon(turn)
    await asyncio.gather(read("long", 10 * A_TURN), read("longer", 20 * A_TURN), read("short", 1))
    assert ends == ["long", "longer", "short"]
    assert turns.count(0) >= 9
    assert turns.count(1) >= 19
