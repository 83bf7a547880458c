"""Requests to a node over real sockets, answered by a server that may say anything."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sidecar.discovery.http import NOT_HTTP, Http, Reply, base_path
from sidecar.discovery.options import NacosOptions, Server
from sidecar.discovery.session import Unanswered
from tests.support.odd_server import answer, odd_server
from tests.support.ports import free_port
from tests.support.until import PATIENCE, until

OPTIONS = NacosOptions(request_timeout=PATIENCE)


@pytest.mark.parametrize(
    ("context_path", "base"), [("/nacos", "/nacos"), ("nacos/", "/nacos"), ("/", ""), ("", ""), ("/a/b", "/a/b")]
)
def test_the_context_path_may_be_written_in_any_way(context_path: str, base: str) -> None:
    """Slashes around it do not matter."""
    assert base_path(context_path) == base


async def test_a_reply_is_status_and_text_whatever_the_status() -> None:
    """A redirect is not followed: it would carry our credentials elsewhere."""
    answers = {"/nacos/a": answer("500 Odd", "why"), "/nacos/b": answer("302 Found\r\nLocation: /nacos/a")}
    async with odd_server(answers) as odd, Http(odd.server, OPTIONS) as http:
        assert await http.get("/a") == Reply(500, "why")
        assert (await http.get("/b")).status == 302


async def test_an_answer_that_is_not_http_is_a_reply_with_its_text() -> None:
    """A real 2.3 answers a wrong password so."""
    async with odd_server({"/nacos/a": b"HTTP/1.1 0 \r\n\r\n"}) as odd, Http(odd.server, OPTIONS) as http:
        reply = await http.get("/a")
        assert reply.status == NOT_HTTP
        assert str(reply).startswith("not HTTP: ")


async def test_silence_a_closed_port_and_a_cut_are_no_reply() -> None:
    """Each within `request_timeout`."""
    async with odd_server({"/nacos/a": None, "/nacos/b": b""}) as odd:
        async with Http(odd.server, NacosOptions(request_timeout=0.2)) as http:
            with pytest.raises(Unanswered, match=r"no answer in 0.2 s") as silent:
                await http.get("/a")
            assert silent.value.timed_out
        async with Http(odd.server, OPTIONS) as http:
            with pytest.raises(Unanswered):
                await http.get("/b")
    async with Http(Server("127.0.0.1", free_port(), 1), OPTIONS) as http:
        with pytest.raises(Unanswered):
            await http.get("/a")


async def test_a_form_is_not_part_of_the_address() -> None:
    """What stands in an address stands in access logs."""
    async with odd_server({"/nacos/a": answer("200 OK", "{}")}) as odd, Http(odd.server, OPTIONS) as http:
        await http.post("/a", {"password": "hush"})
        head, _, body = odd.seen[0].partition("\r\n\r\n")
        assert ("hush" in head, body) == (False, "password=hush")


@asynccontextmanager
async def patient_server(*, answers: int) -> AsyncIterator[tuple[Server, list[int]]]:
    """Answers so many requests of a connection, then closes it without a word; the list counts those of each."""
    counts: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(counts)
        counts.append(0)
        while counts[number] < answers and await reader.readuntil(b"\r\n\r\n"):
            counts[number] += 1
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield Server("127.0.0.1", listening.sockets[0].getsockname()[1], 1), counts


async def test_a_connection_is_used_again() -> None:
    """Polling ten services must not dial ten times in each round."""
    async with patient_server(answers=3) as (server, counts), Http(server, OPTIONS) as http:
        assert [await http.get("/a") for _ in range(3)] == [Reply(200, "ok")] * 3
        assert counts == [3]


async def test_a_connection_that_was_closed_meanwhile_costs_another_try() -> None:
    """Every request is answered, though each connection serves one only."""
    async with patient_server(answers=1) as (server, counts), Http(server, OPTIONS) as http:
        assert [await http.get("/a") for _ in range(3)] == [Reply(200, "ok")] * 3
        assert counts == [1, 1, 1]


async def test_requests_at_the_same_time_have_a_connection_each() -> None:
    """And later ones share those."""
    async with patient_server(answers=2) as (server, counts), Http(server, OPTIONS) as http:
        for _ in range(2):
            assert [*await asyncio.gather(http.get("/a"), http.get("/b"))] == [Reply(200, "ok")] * 2
        assert counts == [2, 2]


async def test_a_request_under_way_ends_when_all_is_let_go() -> None:
    """As unanswered, and without another try."""
    async with odd_server({"/nacos/a": None}) as odd:
        http = await Http(odd.server, OPTIONS).__aenter__()
        asking = asyncio.get_running_loop().create_task(http.get("/a"))
        await until(odd.asked)
        await http.close()
        with pytest.raises(Unanswered) as ended:
            await asking
        assert (ended.value.timed_out, len(odd.seen)) == (False, 1)


@pytest.mark.parametrize(
    ("text", "found"),
    [('{"a": 1}', {"a": 1}), ('{"code": 0, "data": {"a": 1}}', {"a": 1}), ("[1]", {}), ("{", {}), ("", {})],
)
def test_json_is_taken_out_of_its_wrapping(text: str, found: dict[str, int]) -> None:
    """From 3.0 on objects come in `data`; what is none is empty."""
    assert Reply(200, text).json() == found


def test_a_reply_is_shown_on_one_short_line() -> None:
    """For the event log."""
    assert str(Reply(500, "a\n  b" + "c" * 500)) == "HTTP 500: a b" + "c" * 197
