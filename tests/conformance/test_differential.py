"""Odd bytes for several readers that must agree: half a minute of them in every run, and `make fuzz` goes on for longer.

A run plays what its commit says, by a fixed seed and for a number of examples: that it fails is never the luck of the
day. What is new is looked for by `make fuzz`, by another seed each time.
"""

import importlib.util
from collections.abc import Callable, Mapping

import pytest

from sidecar.proxy.http1 import request_fields
from sidecar.proxy.http1.request_fields import RequestFields
from sidecar.proxy.http1.response_fields import ResponseFields
from tests.conformance import answering, fuzz
from tests.conformance.answering import Answering, Said
from tests.conformance.differential import judge
from tests.conformance.seeds import JUDGES, seeds
from tests.conformance.wire import wired
from tests.conformance.without_rule import Omission, without
from tests.support.needs import missing


def _said(method: bytes, answer: bytes, *, closing: bool = False) -> Said:
    return Said(method, b"1.1", trailers=False, answer=answer, packets=[answer], closing=closing)


FOUND = {
    "a lone LF before a request": b"GET /0 HTTP/1.1\r\nHost: a\r\n\r\n\nGET /1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "half a body behind another request": b"GET /0 HTTP/1.1\r\nHost: a\r\n\r\n"
    b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
    "a question to the whole server by its address": b"OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n"
    b"OPTIONS http://a?b HTTP/1.1\r\nHost: a\r\n\r\n",
}
"""What fuzzing has found, in the sidecar or in its judge, mended since."""

FOUND_IN_ANSWERS: Mapping[str, list[Said]] = {
    "an empty element behind chunked": [
        _said(b"GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked,\r\n\r\n3\r\n<0>\r\n0\r\n\r\n")
    ],
    "a body that looks like the fields of a head": [
        _said(b"GET", b"HTTP/1.1 200 OK\r\n\r\nX: y\r\nTransfer-Encoding: identity, chunked\r\n\r\n<0>", closing=True)
    ],
    "a POST where the instance closes unannounced": [
        _said(b"GET", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n<0>", closing=True),
        _said(b"POST", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n<1>"),
    ],
}
"""The same of what instances say."""

SEED = 1
SHARES: Mapping[str, fuzz.Share] = {
    "requests": fuzz.Share(examples=1000),
    "nginx": fuzz.Share(examples=800),
    "answers": fuzz.Share(examples=500),
    "guided": fuzz.Share(examples=5000),
}
"""Half a minute in all, on an idle core."""

_TWO_FRAMINGS = Omission("H-27", RequestFields._frame, "length >= 0", "False")
_TWO_LENGTHS = Omission("H-29", request_fields._content_length, "seen.length >= 0 or", "")
_TWO_LENGTHS_ANSWERED = Omission("H-29", ResponseFields._agreed_length, "len(set(lengths)) > 1", "False")


@pytest.mark.parametrize("name", ["requests", pytest.param("nginx", marks=pytest.mark.needs("nginx")), "answers"])
def test_no_reader_sees_another_number_of_messages(name: str) -> None:
    """When it fails, the log names the seed of the round, and what it found is a defect."""
    fuzz.in_rounds(name, SHARES[name], SEED)


def test_no_input_that_coverage_leads_to_is_read_in_two_ways() -> None:
    """The pure readers, for some thousand inputs."""
    if importlib.util.find_spec("atheris") is None:
        missing("atheris has no wheel for this machine")
    assert fuzz.guided(SHARES["guided"], SEED).startswith("Done ")


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


@pytest.mark.parametrize("name", FOUND_IN_ANSWERS)
async def test_what_was_found_in_answers_stays_mended(name: str) -> None:
    """The same of answers."""
    async with Answering() as instance:
        await answering.judge(instance, FOUND_IN_ANSWERS[name])
