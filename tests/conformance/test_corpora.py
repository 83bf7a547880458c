"""Published collections of requests, sent over the wire: invalid ones reach nobody, valid ones one instance, once."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from tests.conformance.wire import WAYS, Way, Wire, whole, wired, with_host
from tests.support import corpora
from tests.support.corpora import Expected, Vector
from tests.support.strict_instance import Seen, read_all, read_answers

pytestmark = pytest.mark.one_loop


@dataclass(frozen=True)
class Difference:
    """Where we decide otherwise than the collection: the status that the app gets, and why."""

    status: int
    why: str


INVALID_COUNT, VALID_COUNT = 81, 62
"""gunicorn's requests."""

OWN_COUNT, STRICTER_COUNT = 118, 9
"""What h11 and waitress test themselves with, and how many of these we refuse where h11 does not."""

_LARGER = "its limits are smaller than ours"
_OPTION = "an option of gunicorn makes it invalid; the fields go on as they came"
_TRAILER = "a trailer that must not be one is left out, the request is fine without it"
_CODING = "a transfer coding besides chunked is not served"
_METHOD = "a method that our parser does not list"
_CONNECT = "CONNECT is served by nobody here"
_FOLD = "an option of gunicorn permits folded lines"
_PROXY = "the PROXY protocol is not spoken"

INVALID: Mapping[str, Difference] = {
    "006": Difference(200, _LARGER),
    "007": Difference(200, _LARGER),
    "008": Difference(200, _LARGER),
    "009": Difference(200, _LARGER),
    "010": Difference(200, _LARGER),
    "011": Difference(200, _LARGER),
    "012": Difference(200, _LARGER),
    "017": Difference(200, _LARGER),
    "limit_header_default_01": Difference(200, _LARGER),
    "019": Difference(200, "scheme fields that contradict each other mean nothing to a proxy"),
    "040": Difference(200, _OPTION),
    "chunked_07": Difference(200, _OPTION),
    "041": Difference(200, "a second Content-Type is for the instance to judge"),
    "rfc9110_trailer_forbidden_cl_01": Difference(200, _TRAILER),
    "rfc9110_trailer_forbidden_host_01": Difference(200, _TRAILER),
    "rfc9110_trailer_forbidden_te_01": Difference(200, _TRAILER),
    "rfc9112_leading_crlf_02": Difference(200, "two empty lines before a request, where gunicorn takes one"),
}
"""Of gunicorn's invalid requests, those that pass."""

VALID: Mapping[str, Difference] = {
    "005": Difference(400, "a fragment has no place in a request target"),
    "025": Difference(501, _CODING),
    "025_line": Difference(501, _CODING),
    "029": Difference(501, _CODING),
    "030": Difference(501, _CODING),
    "rfc9112_smuggle_gzip_chunked_01": Difference(501, _CODING),
    "rfc9112_smuggle_te_identity_chunked_01": Difference(501, _CODING),
    "028": Difference(400, "an option of gunicorn strips the space before the colon"),
    "031": Difference(501, _METHOD),
    "031compat": Difference(501, _METHOD),
    "031compat2": Difference(501, _METHOD),
    "099": Difference(0, "its body is shorter than its Content-Length"),
    "compat_obs_fold": Difference(400, _FOLD),
    "compat_obs_fold_huge": Difference(400, _FOLD),
    "pp_01": Difference(400, _PROXY),
    "pp_02": Difference(400, _PROXY),
    "pp_04": Difference(400, _PROXY),
    "pp_05": Difference(400, _PROXY),
    "rfc9112_target_absolute_https_01": Difference(400, "a proxy of http cannot speak https for the app"),
    "rfc9112_target_absolute_userinfo_01": Difference(400, "user information in a target is a deception"),
    "rfc9112_target_authority_connect_01": Difference(501, _CONNECT),
    "rfc9112_target_authority_ipv6_01": Difference(501, _CONNECT),
}
"""Of gunicorn's valid requests, those that are refused."""

BAD_BODY = {
    *("chunked_01", "chunked_09", "chunked_10", "chunked_11", "chunked_12", "chunked_13", "chunked_14"),
    *("rfc9112_chunked_missing_final_crlf_01",),
    *("rfc9112_chunked_size_minus_sign_01", "rfc9112_chunked_size_plus_sign_01"),
}
"""Invalid behind a good head: a part may have reached the instance when that was found."""

OURS = {b"x-request-id", b"transfer-encoding", b"connection", b"te", b"host", b"keep-alive", b"http2-settings"}
"""Headers of a hop, or made by us."""


def variants(data: bytes) -> list[tuple[bytes, Way]]:
    """With a Host in every way, and once as it is."""
    ready = with_host(data)
    return [(ready, way) for way in WAYS] + ([(data, whole)] if ready != data else [])


async def refused(wire: Wire, data: bytes, way: Way) -> list[int]:
    """The statuses that the app got: of nothing but refusals, and no whole request has reached the instance."""
    got = await wire.cross(data, way)
    answers = read_answers(got, [])
    assert answers.error is None
    assert wire.instance.seen == []
    assert len(answers.local) == len(answers.statuses) <= 1
    return answers.statuses


async def test_invalid_requests_of_gunicorn_reach_nobody(subtests: pytest.Subtests) -> None:
    """81 of them: refused or left unanswered, and where the head is wrong not a byte goes on."""
    vectors = corpora.gunicorn("invalid")
    assert len(vectors) == INVALID_COUNT
    assert not INVALID.keys() - {vector.name for vector in vectors}
    async with wired() as wire:
        for vector in vectors:
            if vector.name in INVALID:
                continue
            for data, way in variants(vector.data):
                with subtests.test(vector.name, way=way.__name__):
                    assert all(status in range(400, 506) for status in await refused(wire, data, way))
                    assert vector.name in BAD_BODY or wire.instance.raw == b""


async def test_requests_that_only_gunicorn_calls_invalid_pass_once(subtests: pytest.Subtests) -> None:
    """Each difference has its reason, and the instance sees one request."""
    async with wired() as wire:
        for vector in corpora.gunicorn("invalid"):
            if vector.name in INVALID:
                for way in WAYS:
                    with subtests.test(vector.name, way=way.__name__):
                        answers = read_answers(await wire.cross(with_host(vector.data), way), [b"GET"])
                        assert answers.statuses == [INVALID[vector.name].status]
                        assert len(wire.instance.seen) == 1
                        assert wire.instance.errors == []


def ready(vector: Vector) -> bytes:
    """020 has a body that looks like a request."""
    return vector.data if vector.name == "020" else with_host(vector.data)


def essence(expected: Expected) -> tuple[object, ...]:
    """What must arrive: the target in origin-form, the headers that are not of one hop, in order."""
    target = re.sub(rb"\Ahttp://[^/]*", b"", expected.target)
    headers = [(name.lower(), value) for name, value in expected.headers]
    return expected.method, target, passed_on(headers), expected.body


def arrived(seen: Seen) -> tuple[object, ...]:
    """The same of what has arrived."""
    return seen.method, seen.target, passed_on(seen.headers), seen.body


def passed_on(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Without those of a hop; and without underscores, for gunicorn leaves such fields out by its own choice."""
    return [pair for pair in headers if pair[0] not in OURS and b"_" not in pair[0]]


async def test_valid_requests_of_gunicorn_arrive_once_and_equal(subtests: pytest.Subtests) -> None:
    """62 of them: method, target, headers in their order, body; as many as the app sent, whatever the packets."""
    vectors = corpora.gunicorn("valid")
    assert len(vectors) == VALID_COUNT
    assert not VALID.keys() - {vector.name for vector in vectors}
    async with wired() as wire:
        for vector in vectors:
            if vector.name in VALID:
                continue
            for way in WAYS:
                with subtests.test(vector.name, way=way.__name__):
                    got = await wire.cross(ready(vector), way)
                    methods = [expected.method for expected in vector.requests]
                    assert read_answers(got, methods).statuses == [200] * len(methods)
                    assert list(map(arrived, wire.instance.seen)) == list(map(essence, vector.requests))
                    assert wire.instance.errors == []


async def test_requests_that_only_gunicorn_calls_valid_reach_nobody(subtests: pytest.Subtests) -> None:
    """Each difference has its reason and its status."""
    async with wired() as wire:
        for vector in corpora.gunicorn("valid"):
            if vector.name in VALID:
                for way in WAYS:
                    with subtests.test(vector.name, way=way.__name__):
                        status = VALID[vector.name].status
                        assert await refused(wire, ready(vector), way) == ([status] if status else [])


def completed(data: bytes) -> bytes:
    """waitress tests fields alone, under a version of its own: as a request of HTTP/1.1, with the empty line."""
    data = data.replace(b"HTTP/8.4", b"HTTP/1.1")
    if b"\r\n\r\n" not in data:
        data += b"\r\n" if data.endswith(b"\r\n") else b"\r\n\r\n"
    return with_host(data)


def in_chunks(data: bytes) -> bytes:
    return b"POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + data


def from_tests() -> Iterator[Vector]:
    """What h11's and waitress' own tests read: requests, and chunked bodies behind a head."""
    h11, waitress = corpora.require(corpora.H11) / "h11/tests", corpora.require(corpora.WAITRESS) / "tests"
    for path in (h11 / "test_io.py", h11 / "test_connection.py", waitress / "test_parser.py"):
        for vector in corpora.literals(path):
            if b"HTTP/" in vector.data and not vector.data.startswith(b"HTTP/"):
                yield Vector(vector.name, completed(vector.data))
    for path in (h11 / "test_io.py", waitress / "test_receiver.py"):
        for vector in corpora.literals(path):
            if "chunk" in vector.name.lower() or "receive" in vector.name:
                yield Vector(vector.name, in_chunks(vector.data))


STRICTER: Mapping[bytes, Difference] = {
    b"multi-line\r\n header": Difference(400, "a folded line"),
    b"\r\n  folded": Difference(400, "a folded line"),
    b"whatever,\r\n more": Difference(400, "a folded line"),
    b"kUd\x01UpAt": Difference(400, "a control character in a value"),
    b"xxx\x10": Difference(400, "a control character in a value"),
    b"get / ": Difference(501, _METHOD),
    b"https://": Difference(400, "a proxy of http cannot speak https for the app"),
    b"5   \t \r\n": Difference(400, "spaces behind a chunk size"),
}
"""By a part of the vector: what h11 reads as a whole request, and we refuse."""


async def test_what_h11_and_waitress_test_themselves_with_arrives_as_h11_reads_it(subtests: pytest.Subtests) -> None:
    """Never more than h11 reads from the same bytes, nor anything else; where we refuse more, the table says why."""
    vectors = list(from_tests())
    assert len(vectors) == OWN_COUNT
    met: list[bytes] = []
    async with wired() as wire:
        for vector in vectors:
            expected = read_all(vector.data).whole
            stricter = [part for part in STRICTER if part in vector.data]
            met += stricter[:1]
            for way in WAYS:
                with subtests.test(vector.name, data=vector.data[-60:], way=way.__name__):
                    if stricter:
                        assert await refused(wire, vector.data, way) == [STRICTER[stricter[0]].status]
                        continue
                    got = read_answers(await wire.cross(vector.data, way), [seen.method for seen in expected])
                    assert got.statuses[: len(expected)] == [200] * len(expected)
                    assert list(map(arrived, wire.instance.seen)) == list(map(arrived, expected))
                    assert wire.instance.errors == []
    assert set(met) == STRICTER.keys()
    assert len(met) == STRICTER_COUNT
