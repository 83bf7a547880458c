"""Streams of requests, and answers, for fuzzing: valid ones, and the ways in which two readers were ever found to disagree."""

from hypothesis import strategies as st

_ROW = 80


def _places(data: bytes) -> st.SearchStrategy[int]:
    """From before the first byte to behind the last.

    Drawn as row and column: among numbers of 100 and more hypothesis mixes such as stand in the product's source, and
    what is played by a fixed seed would change with every number there.
    """
    rows = st.integers(0, len(data) // _ROW)
    return st.builds(lambda row, column: min(row * _ROW + column, len(data)), rows, st.integers(0, _ROW - 1))


_BODIES = st.sampled_from(
    [b"", b"x", b"hello", b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n", b"0\r\n\r\n", b"\r\n\r\n"]
)

_TRAPS = [
    b"Content-Length: 5\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Length: +5\r\n",
    b"Content-Length: 5, 5\r\n",
    b"Content-Length : 5\r\n",
    b"Content-Length:\t5\x0b\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"Transfer-Encoding:chunked\x0b\r\n",
    b"Transfer-Encoding: xchunked\r\n",
    b"Transfer-Encoding: identity, chunked\r\n",
    b"Transfer-Encoding: chunked, chunked\r\n",
    b"Transfer-Encoding:\r\n chunked\r\n",
    b"Transfer_Encoding: chunked\r\n",
    b"X: y\rTransfer-Encoding: chunked\r\n",
    b"X: y\nTransfer-Encoding: chunked\r\n",
    b"Host: b\r\n",
    b"Host:\r\n",
    b"host: A:80\r\n",
    b"Host: a b\r\n",
    b"Host : b\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive\r\n",
    b"Connection: Content-Length, Transfer-Encoding, Host\r\n",
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    b"Connection: upgrade\r\nUpgrade: websocket\r\n",
    b"Expect: 100-continue\r\n",
    b"TE: trailers\r\n",
    b" folded\r\n",
    b"\r\n",
]
"""Lines that change where a body ends, for some reader."""

_BITS = [
    *(
        b"\r",
        b"\n",
        b"\r\n",
        b"\0",
        b" ",
        b"\t",
        b"\x0b",
        b"\x0c",
        b"\x85",
        b"\xa0",
        b":",
        b",",
        b";",
        b'"',
        b"0",
        b"_",
    ),
    *(b"\r\n\r\n", b"0\r\n\r\n", b"-", b"+", b"0x", b"ffffffffffffffff", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    *(b"HTTP/1.0", b"HTTP/2.0", b"\xef\xbc\x91"),
]

_SIZES = st.sampled_from(
    [b"%x", b"%X", b"0%x", b"%x;a=b", b'%x;a="b;c"', b"%x ", b" %x", b"0x%x", b"+%x", b"%x;\n", b"%x\t"]
)
_ENDS = st.sampled_from([*[b"\r\n"] * 6, b"XX", b"\n", b"\r\r", b""])
_TRAILERS = st.sampled_from(
    [b"", b"", b"", b"X-Sum: 1\r\n", b"Content-Length: 5\r\n", b"Host: b\r\n", b"X : y\r\n", b"junk\r\n"]
)


@st.composite
def _chunks(draw: st.DrawFn, body: bytes, *, clean: bool) -> bytes:
    """The body in chunks; sometimes with sizes that only a lenient reader takes."""
    out = b""
    while body:
        piece, body = body[: (size := draw(st.integers(1, 40)))], body[size:]
        form, end = (b"%x", b"\r\n") if clean else (draw(_SIZES), draw(_ENDS))
        out += form % len(piece) + b"\r\n" + piece + end
    return out + b"0\r\n" + (b"" if clean else draw(_TRAILERS)) + b"\r\n"


_traps = st.one_of(st.sampled_from([trap for trap in _TRAPS if trap[:1] in b"CT"]), st.sampled_from(_TRAPS))
"""Half of them about framing, or what Connection does to it."""


_FAULTS = st.sets(st.sampled_from(["lines", "framing", "chunks"]), min_size=1, max_size=2)


@st.composite
def _request(draw: st.DrawFn, number: int, *, odd: bool) -> bytes:
    """One request; an `odd` one has a fault, or two: with more, each would be refused for another one's sake."""
    faults = draw(_FAULTS) if odd else set[str]()
    method = draw(st.sampled_from([b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"DELETE"]))
    targets = [b"/%d", b"/%d?q=a%%20b", b"//%d", b"http://a/%d", b"HTTP://B:81/%d", b"http://a?%d"]
    target = draw(st.sampled_from(targets)) % number
    version = draw(st.sampled_from([b"1.1", b"1.1", b"1.1", b"1.1", b"1.0"])) if odd else b"1.1"
    lines = draw(st.lists(_traps, min_size=1, max_size=2)) if "lines" in faults else []
    body = draw(_BODIES)
    framings = ["short", "twice", "both", "both"] if "framing" in faults else ["none", "length", "chunked", "chunked"]
    framing = "chunked" if faults == {"chunks"} else draw(st.sampled_from(framings))
    lengths = {"length": [len(body)], "short": [len(body) // 2], "twice": [len(body), 0]}
    if framing in {"chunked", "both"}:
        lines.append(b"Transfer-Encoding: chunked\r\n")
        body = draw(_chunks(body, clean="chunks" not in faults))
        lengths["both"] = [draw(st.sampled_from([0, 5, len(body)]))]
    elif framing == "none":
        body = b""
    lines += [b"Content-Length: %d\r\n" % length for length in lengths.get(framing, [])]
    fields = b"".join(draw(st.permutations([b"Host: a\r\n", *lines])))
    return b"%b %b HTTP/%b\r\n%b\r\n%b" % (method, target, version, fields, body)


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """What an app might send over one connection: one to four requests, one of them odd, or the whole wounded, or both."""
    count = draw(st.integers(1, 4))
    odd = draw(st.integers(0, count))
    data = b"".join(draw(_request(number, odd=number == odd)) for number in range(count))
    return draw(_wounded(data)) if odd == count or draw(st.integers(0, 3)) == 0 else data


@st.composite
def _wounded(draw: st.DrawFn, data: bytes) -> bytes:
    for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2, 3]))):
        at = draw(_places(data))
        end = at + draw(st.sampled_from([0, 0, 1, 1, 2, 5]))
        data = data[:at] + draw(st.sampled_from([b"", *_BITS])) + data[end:]
    return data


_ANSWER_TRAPS = [
    *(trap for trap in _TRAPS if not trap.startswith((b"Host", b"Expect", b"TE"))),
    b"Content-Length: 5\r\nContent-Length: 5\r\n",
    b"Transfer-Encoding: gzip\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Trailer: X-Sum\r\n",
    b"Connection: X-Hop\r\nX-Hop: 1\r\n",
    b"Keep-Alive: timeout=5\r\n",
    b"X: y\n",
    b"X : y\r\n",
    b"X: a\r\n  b\r\n",
]

_STARTS = [
    *(b"HTTP/1.1 200 OK", b"HTTP/1.1 200 OK", b"HTTP/1.1 404 Not Found", b"HTTP/1.1 204 No Content"),
    *(b"HTTP/1.1 304 Not Modified", b"HTTP/1.0 200 OK", b"HTTP/1.1 200", b"http/1.1  206 Partial", b"HTTP/1.1 101 So be it"),
]  # fmt: skip

_INTERIM = [b"", b"", b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"]


@st.composite
def answers(draw: st.DrawFn, number: int) -> bytes:
    """What an instance might say to request `number`: which answer it is stands in a field and in the body."""
    body = b"<%d>%b" % (number, draw(st.sampled_from([b"", b" and a longer text", b"0\r\n\r\n", b"\r\n\r\n"])))
    lines = draw(st.lists(st.sampled_from(_ANSWER_TRAPS), max_size=1 if draw(st.booleans()) else 3))
    framing = draw(st.sampled_from(["length", "length", "chunked", "chunked", "none", "short", "long"]))
    if framing == "chunked":
        lines.append(b"Transfer-Encoding: chunked\r\n")
        body = draw(_chunks(body, clean=draw(st.booleans())))
    elif framing != "none":
        lines.append(b"Content-Length: %d\r\n" % (len(body) + {"length": 0, "short": -1, "long": 1}[framing]))
    fields = b"".join(draw(st.permutations([b"X-Answer: %d\r\n" % number, *lines])))
    told = draw(st.sampled_from(_INTERIM)) + draw(st.sampled_from(_STARTS)) + b"\r\n" + fields + b"\r\n" + body
    if draw(st.integers(0, 9)) == 0:
        told += b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    return draw(_wounded(told))


WORDS = sorted({*_TRAPS, *_ANSWER_TRAPS, *_BITS, *_STARTS})
"""All that a change may put in."""


def cuts(data: bytes) -> st.SearchStrategy[list[bytes]]:
    """The same bytes in up to five packets."""
    return st.lists(_places(data), max_size=4).map(
        lambda places: [data[a:b] for a, b in zip([0, *sorted(places)], [*sorted(places), len(data)], strict=True)]
    )
