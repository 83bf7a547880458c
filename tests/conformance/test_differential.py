"""Streams of requests, mostly a little wrong, read by three readers; `make fuzz` goes on for longer."""

import asyncio

import pytest

from tests.conformance.differential import judge
from tests.conformance.fuzz import play
from tests.conformance.wire import wired

FOUND = {
    "a lone LF before a request": b"GET /0 HTTP/1.1\r\nHost: a\r\n\r\n\nGET /1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "half a body behind another request": b"GET /0 HTTP/1.1\r\nHost: a\r\n\r\n"
    b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
    "a question to the whole server by its address": b"OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n"
    b"OPTIONS http://a?b HTTP/1.1\r\nHost: a\r\n\r\n",
}
"""What fuzzing has found, in the sidecar or in its judge, mended since."""


def test_no_reader_sees_another_number_of_requests() -> None:
    """Five seconds of streams: h11 on the app's side, the sidecar, h11 at the instance."""
    with asyncio.Runner() as runner:
        wire = runner.run((stage := wired()).__aenter__())
        play(wire, runner, examples=350)
        runner.run(stage.__aexit__(None, None, None))


@pytest.mark.parametrize("name", FOUND)
async def test_what_was_found_stays_mended(name: str) -> None:
    """Each of them once made the readers differ, or the request hang."""
    async with wired() as wire:
        await judge(wire, FOUND[name], [FOUND[name]])
