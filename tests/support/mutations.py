"""Streams of requests for fuzzing: valid ones, and the ways in which two readers were ever found to disagree."""

from hypothesis import strategies as st

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
_TRAILERS = st.sampled_from(
    [b"", b"", b"", b"X-Sum: 1\r\n", b"Content-Length: 5\r\n", b"Host: b\r\n", b"X : y\r\n", b"junk\r\n"]
)


@st.composite
def _chunks(draw: st.DrawFn, body: bytes, *, clean: bool) -> bytes:
    """The body in chunks; sometimes with sizes that only a lenient reader takes."""
    out = b""
    while body:
        piece, body = body[: (size := draw(st.integers(1, 40)))], body[size:]
        form = b"%x" if clean else draw(_SIZES)
        out += form % len(piece) + b"\r\n" + piece + b"\r\n"
    return out + b"0\r\n" + (b"" if clean else draw(_TRAILERS)) + b"\r\n"


@st.composite
def _request(draw: st.DrawFn, number: int) -> bytes:
    method = draw(st.sampled_from([b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"DELETE"]))
    target = draw(st.sampled_from([b"/%d", b"/%d?q=a%%20b", b"//%d", b"http://a/%d"])) % number
    version = draw(st.sampled_from([b"1.1", b"1.1", b"1.1", b"1.0"]))
    lines = draw(st.lists(st.sampled_from(_TRAPS), max_size=1 if draw(st.booleans()) else 3))
    body = draw(_BODIES)
    framing = draw(st.sampled_from(["none", "length", "chunked", "chunked", "short"]))
    clean = draw(st.booleans())
    if framing == "length":
        lines.append(b"Content-Length: %d\r\n" % len(body))
    elif framing == "short":
        lines.append(b"Content-Length: %d\r\n" % (len(body) // 2))
    elif framing == "chunked":
        lines.append(b"Transfer-Encoding: chunked\r\n")
        body = draw(_chunks(body, clean=clean))
    else:
        body = b""
    fields = b"".join(draw(st.permutations([b"Host: a\r\n", *lines])))
    return b"%b %b HTTP/%b\r\n%b\r\n%b" % (method, target, version, fields, body)


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """What an app might send over one connection: one to four requests, and up to three wounds."""
    data = b"".join(draw(_request(number)) for number in range(draw(st.integers(1, 4))))
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2, 3]))):
        at = draw(st.integers(0, len(data)))
        end = at + draw(st.sampled_from([0, 0, 1, 1, 2, 5]))
        data = data[:at] + draw(st.sampled_from([b"", *_BITS])) + data[end:]
    return data


def cuts(data: bytes) -> st.SearchStrategy[list[bytes]]:
    """The same bytes in up to five packets."""
    return st.lists(st.integers(0, len(data)), max_size=4).map(
        lambda places: [data[a:b] for a, b in zip([0, *sorted(places)], [*sorted(places), len(data)], strict=True)]
    )
