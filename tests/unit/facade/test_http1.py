"""HTTP as it passes."""

import pytest

from sidecar.facade.http1 import (
    LARGEST_HEAD,
    End,
    Event,
    NotHttpError,
    Request,
    RequestReader,
    Response,
    ResponseReader,
    chunk,
    end_to_end,
    request_head,
    response_head,
    value,
)


def events(reader: RequestReader | ResponseReader, data: bytes, step: int = 1 << 20) -> list[Event]:
    found = []
    for start in range(0, len(data), step):
        reader.feed(data[start : start + step])
        while (event := reader.next()) is not None:
            found.append(event)
    return found


@pytest.mark.parametrize("step", [1, 1 << 20])
def test_a_request_is_head_body_and_end(step: int) -> None:
    """In whatever pieces it comes; a second one follows."""
    data = b"POST /a?x=%20b&x=c HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbodyGET /b HTTP/1.0\r\n\r\n"
    found = events(RequestReader(), data, step)
    heads = [event for event in found if isinstance(event, Request)]
    assert [(h.method, h.path, h.minor, h.keep_alive) for h in heads] == [
        ("POST", "/a", 1, True),
        ("GET", "/b", 0, False),
    ]
    assert heads[0].query == [("x", " b"), ("x", "c")]
    assert b"".join(event for event in found if isinstance(event, bytes)) == b"body"
    assert found.count(End.END) == 2


def test_an_offer_of_another_protocol_is_not_taken() -> None:
    """The request is served as it is, and so is the next one."""
    data = (
        b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n"
    )
    found = [event.path for event in events(RequestReader(), data) if isinstance(event, Request)]
    assert found == ["/a", "/b"]


@pytest.mark.parametrize("data", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nx: " + b"y" * (LARGEST_HEAD + 1)])
def test_what_is_no_request_is_refused(data: bytes) -> None:
    """Or one without an end."""
    with pytest.raises(NotHttpError):
        events(RequestReader(), data)


@pytest.mark.parametrize(
    ("method", "data", "body"),
    [
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokmore", b"ok"),
        ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok"),
        ("GET", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", b""),
        ("GET", b"HTTP/1.1 304 Not Modified\r\n\r\n", b""),
    ],
)
def test_an_answer_ends_where_it_says(method: str, data: bytes, body: bytes) -> None:
    """In each kind of framing, and without a body where there is none."""
    reader = ResponseReader(method)
    found = events(reader, data)
    assert isinstance(found[0], Response)
    assert found[-1] is End.END
    assert b"".join(event for event in found if isinstance(event, bytes)) == body
    assert reader.complete


def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    """One with a length, or without a head, is cut then."""
    reader = ResponseReader("GET")
    assert events(reader, b"HTTP/1.1 200 OK\r\n\r\nok")[1:] == [b"ok"]
    reader.end()
    assert reader.next() is End.END
    for data in (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", b""):
        cut = ResponseReader("GET")
        events(cut, data)
        with pytest.raises(NotHttpError):
            cut.end()


def test_an_answer_that_is_none_is_said_to_be_none() -> None:
    """As a server of 2.3.2 answers a wrong password."""
    with pytest.raises(NotHttpError):
        events(ResponseReader("GET"), b"HTTP/1.1 0 \r\n\r\n")


def test_what_is_about_one_connection_does_not_pass() -> None:
    """Nor what `Connection` names; all else does, in order, repeated and in its case."""
    fields = [
        (b"X-a", b"1"),
        (b"Connection", b"close, X-gone"),
        (b"x-gone", b"1"),
        (b"X-a", b"2"),
        (b"TE", b"trailers"),
    ]
    assert end_to_end(fields) == [(b"X-a", b"1"), (b"X-a", b"2")]
    assert end_to_end(fields, b"x-a") == []
    assert value(fields, b"x-a") == b"1"


def test_heads_are_written_with_their_framing() -> None:
    """To a server for one request; to the app as it speaks."""
    assert request_head("GET", "/a", [(b"Host", b"h")], chunked=True) == (
        b"GET /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )
    response = Response(200, b"OK", [])
    kept = response_head(response, [(b"A", b"1")], chunked=False, keep_alive=True, minor=0)
    assert kept == b"HTTP/1.1 200 OK\r\nA: 1\r\nConnection: keep-alive\r\n\r\n"
    closed = response_head(response, [], chunked=True, keep_alive=False, minor=1)
    assert closed == b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    assert chunk(b"ok") + chunk(b"") == b"2\r\nok\r\n0\r\n\r\n"


@pytest.mark.parametrize("step", [1, 1 << 20])
@pytest.mark.parametrize(
    ("framing", "sent"), [(b"Content-Length: 4", b"body"), (b"Transfer-Encoding: chunked", b"4\r\nbody\r\n0\r\n\r\n")]
)
def test_a_body_behind_an_offer_is_no_request(step: int, framing: bytes, sent: bytes) -> None:
    """Clients of Java offer h2c with whatever request comes first; its body is read as one, and so is the next request."""
    head = b"POST /a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n%b\r\n\r\n" % framing
    found = events(RequestReader(), head + sent + b"GET /b HTTP/1.1\r\nHost: h\r\n\r\n", step)
    assert [event.path for event in found if isinstance(event, Request)] == ["/a", "/b"]
    assert b"".join(event for event in found if isinstance(event, bytes)) == b"body"
    assert found.count(End.END) == 2
    assert found[-1] is End.END


def test_a_body_behind_an_offer_is_judged_as_any_other() -> None:
    """One whose end nobody can tell is refused."""
    head = b"POST /a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: gzip\r\n\r\n"
    with pytest.raises(NotHttpError):
        events(RequestReader(), head)


@pytest.mark.parametrize("step", [1, 1 << 20])
def test_what_follows_the_last_request_is_of_no_interest(step: int) -> None:
    """The request that says it is the last one is served, whatever its client sends behind it."""
    data = b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n"
    found = events(RequestReader(), data, step)
    assert [event.path for event in found if isinstance(event, Request)] == ["/a"]
    assert found[-1] is End.END


def test_trailers_are_no_fields_of_the_head() -> None:
    """Whoever reads the head late must not find them in it."""
    asked, answered = RequestReader(), ResponseReader("GET")
    end = b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-late: 1\r\n\r\n"
    asked.feed(b"POST /a HTTP/1.1\r\nHost: h\r\n" + end)
    answered.feed(b"HTTP/1.1 200 OK\r\n" + end)
    for reader in (asked, answered):
        head = reader.next()
        assert isinstance(head, Request | Response)
        assert value(head.fields, b"x-late") is None


def test_connection_cannot_take_a_length_away() -> None:
    """A body without its length would be the next request to the server; nor whom it is for, and from."""
    kept = [(b"Content-Length", b"4"), (b"Host", b"h"), (b"Authorization", b"a")]
    named = [(b"Connection", b"Content-Length, host"), (b"connection", b"authorization, x-gone"), (b"X-gone", b"1")]
    assert end_to_end([*named, *kept]) == kept
