"""Lists inside of messages."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.facade.lists import ListText, about, joined, read

HOST = {"ip": "10.0.0.1", "port": 80, "metadata": {"hosts": "[]", "lastRefTime": "7"}}
TEXTS = st.text(max_size=8)
HOSTS = st.lists(
    st.fixed_dictionaries(
        {"ip": st.sampled_from(["10.0.0.1", "10.0.0.2", "::1"]), "port": st.integers(1, 65535)},
        optional={"metadata": st.dictionaries(TEXTS, TEXTS, max_size=3), "weight": st.floats(0, 10)},
    ),
    max_size=5,
)


def message(hosts: list[Any], **info: Any) -> str:
    return json.dumps({"resultCode": 200, "serviceInfo": {"name": "s", "hosts": hosts, "lastRefTime": 5, **info}})


async def found(text: str, path: tuple[str, ...] = ("serviceInfo", "hosts")) -> ListText:
    heard = await read(text, path)
    assert heard is not None
    return heard


@given(HOSTS, st.sampled_from([None, 1, 2]))
async def test_a_message_around_its_own_hosts_is_the_message(hosts: list[Any], indent: int | None) -> None:
    """To the byte, however it is laid out, and everybody on it is known."""
    text = json.dumps(
        {"a": {"hosts": [1]}, "serviceInfo": {"x": [{}], "hosts": hosts, "z": 1}, "b": "]"}, indent=indent
    )
    heard = await found(text)
    assert heard.with_hosts(heard.hosts) == text
    assert heard.addresses == {
        f"[{h['ip']}]:{h['port']}" if ":" in h["ip"] else f"{h['ip']}:{h['port']}" for h in hosts
    }


@given(HOSTS, HOSTS)
async def test_other_hosts_take_their_place(before: list[Any], after: list[Any]) -> None:
    """All else means what it meant."""
    heard = await found(message(before, future={"field": 1}))
    changed = heard.with_hosts(joined(*map(json.dumps, after)))
    assert json.loads(changed) == json.loads(message(after, future={"field": 1}))


async def test_numbers_beside_the_list_are_set_and_those_inside_of_hosts_are_not() -> None:
    """Of the same name."""
    heard = await found(message([HOST], cacheMillis=10000, message='"lastRefTime":1'))
    assert json.loads(heard.with_hosts(heard.hosts, ref_time=9, cache_millis=1)) == json.loads(
        message([HOST], cacheMillis=1, message='"lastRefTime":1', lastRefTime=9)
    )


async def test_a_list_with_other_hosts_says_nothing_of_protection() -> None:
    """The threshold is about those that the registry listed; an untouched list says what it said."""
    heard = await found(message([], reachProtectionThreshold=True))
    assert '"reachProtectionThreshold": true' in heard.with_hosts("")
    assert '"reachProtectionThreshold": false' in heard.with_hosts(json.dumps(HOST))


async def test_a_count_beside_the_list_counts_it() -> None:
    """As administrators are told."""
    heard = await found(json.dumps({"list": [], "count": 0}), ("list",))
    assert json.loads(heard.with_hosts(json.dumps(HOST))) == {"list": [HOST], "count": 1}


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('{"data":[{"ip":"a","port":1}]}', ("data",)),
        ('{"data":{"hosts":[{"ip":"a","port":1}]}}', ("data", "hosts")),
        ('{"hosts" : [ {"ip":"a","port":1} ] }', ("hosts",)),
    ],
)
async def test_each_generation_has_it_elsewhere(text: str, path: tuple[str, ...]) -> None:
    """The way to it is followed key by key."""
    assert (await found(text, path)).addresses == {"a:1"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "nonsense",
        '{"serviceInfo":null}',
        '{"serviceInfo":{"hosts":null}}',
        '{"serviceInfo":{"hosts":[{]}}',
        '{"serviceInfo":{"hosts":[{}',
        '{"serviceInfo":{"hosts":[{}]',
        '{"serviceInfo":{"hosts" [',
        f'{{"serviceInfo":{{"hosts":[{"[" * 100_000}',
        f'{{"serviceInfo":{{"more":{"[" * 100_000},"hosts":[]}}}}',
    ],
)
async def test_what_is_no_list_is_left_alone(text: str) -> None:
    """Cut short, of another shape, nested without end, or no JSON at all."""
    assert await read(text) is None
    assert await about(text) == {}


async def test_a_list_that_comes_again_is_not_taken_apart_again() -> None:
    """Word for word; with one word more it is."""
    heard = await found(message([HOST]))
    again = await read(message([HOST], lastRefTime=6), known=heard)
    longer = await read(message([HOST, {"ip": "10.0.0.2", "port": 80}]), known=heard)
    assert again is not None
    assert longer is not None
    assert again.addresses is heard.addresses
    assert len(longer.addresses) == 2


async def test_hosts_are_given_out_as_they_were_written() -> None:
    """Those at the addresses asked for, of a list of many."""
    hosts = [{"ip": "10.0.0.1", "port": port, "x": 1.50} for port in range(1, 500)]
    heard = await found(message(hosts))
    assert await heard.raw({"10.0.0.1:7", "10.0.0.9:1"}) == {"10.0.0.1:7": json.dumps(hosts[6])}


async def test_what_a_push_is_about_is_known_without_its_hosts() -> None:
    """Whatever stands in their place, as long as its names stand before; else they are read."""
    before = '{"requestId":"1","serviceInfo":{"name":"s","groupName":"G","clusters":"A","hosts":nonsense'
    assert await about(before) == {"name": "s", "groupName": "G", "clusters": "A"}
    found = await about('{"serviceInfo":{"hosts":[{"ip":"a","port":1}],"name":"s","clusters":""}}')
    assert (found["name"], found["clusters"]) == ("s", "")
    for text in ("", "[]", '{"serviceInfo":1}', '{"serviceInfo":{"hosts":nonsense'):
        assert await about(text) == {}
