"""Odd bytes for several readers that must agree: half a minute of them in every run, and `make fuzz` goes on for longer."""

import importlib.util
from collections.abc import Callable

import pytest

from sidecar import clock
from sidecar.proxy.http1 import request_fields
from sidecar.proxy.http1.request_fields import RequestFields
from sidecar.proxy.http1.response_fields import ResponseFields
from tests.conformance import fuzz
from tests.conformance.differential import judge
from tests.conformance.seeds import JUDGES, seeds
from tests.conformance.wire import wired
from tests.conformance.without_rule import Omission, without
from tests.support.needs import missing

FOUND = {
    "a lone LF before a request": b"GET /0 HTTP/1.1\r\nHost: a\r\n\r\n\nGET /1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "half a body behind another request": b"GET /0 HTTP/1.1\r\nHost: a\r\n\r\n"
    b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
    "a question to the whole server by its address": b"OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n"
    b"OPTIONS http://a?b HTTP/1.1\r\nHost: a\r\n\r\n",
}
"""What fuzzing has found, in the sidecar or in its judge, mended since."""

SECONDS = 7.5
"""Of each play, and there are four."""

_TWO_FRAMINGS = Omission("H-27", RequestFields._frame, "length >= 0", "False")
_TWO_LENGTHS = Omission("H-29", request_fields._content_length, "seen.length >= 0 or", "")
_TWO_LENGTHS_ANSWERED = Omission("H-29", ResponseFields._agreed_length, "len(set(lengths)) > 1", "False")


@pytest.mark.parametrize("name", ["requests", pytest.param("nginx", marks=pytest.mark.needs("nginx")), "answers"])
def test_no_reader_sees_another_number_of_messages(name: str) -> None:
    """Another seed each time: when it fails, the log names it, and what it found is a defect."""
    fuzz.in_rounds(name, SECONDS, int(clock.wall()))


def test_no_input_that_coverage_leads_to_is_read_in_two_ways() -> None:
    """The pure readers, for some thousand inputs."""
    if importlib.util.find_spec("atheris") is None:
        missing("atheris has no wheel for this machine")
    assert fuzz.guided(SECONDS, int(clock.wall())).startswith("Done ")


@pytest.mark.parametrize(
    ("play", "planted"),
    [
        (fuzz.play_requests, _TWO_FRAMINGS),
        pytest.param(fuzz.play_nginx, _TWO_LENGTHS, marks=pytest.mark.needs("nginx")),
        (fuzz.play_answers, _TWO_LENGTHS_ANSWERED),
    ],
)
def test_a_planted_defect_is_found(play: Callable[..., None], planted: Omission) -> None:
    """By the first few hundred examples of a fixed seed: the plays see what they are there for."""
    with without(planted), pytest.raises(AssertionError):
        play(1, 400, shrinks=False)


def test_a_message_of_the_tables_reads_alike_wherever_it_is_cut() -> None:
    """By every reader there is: what the guided play begins with."""
    for kind, data in seeds():
        JUDGES[kind](data)


def test_readers_that_differ_are_noticed() -> None:
    """With a rule taken out, the guided play ends with its very first inputs."""
    with without(_TWO_FRAMINGS), pytest.raises(AssertionError):
        test_a_message_of_the_tables_reads_alike_wherever_it_is_cut()


@pytest.mark.parametrize("name", FOUND)
async def test_what_was_found_stays_mended(name: str) -> None:
    """Each of them once made the readers differ, or the request hang."""
    async with wired() as wire:
        await judge(wire, FOUND[name], [FOUND[name]])
