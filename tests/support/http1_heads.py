"""Heads of HTTP/1 messages for property tests: mostly right, often odd, sometimes wrong, never from a corpus."""

from hypothesis import strategies as st

TOKEN_CHARS = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
VALUE_CHARS = bytes([9, *range(0x20, 0x7F), *range(0x80, 0x100)])

tokens = st.lists(st.sampled_from(list(TOKEN_CHARS)), min_size=1, max_size=12).map(bytes)
values = st.lists(st.sampled_from(list(VALUE_CHARS)), max_size=20).map(bytes)
paddings = st.sampled_from([b"", b" ", b"  ", b"\t", b" \t "])


def any_case(name: bytes) -> st.SearchStrategy[bytes]:
    """The same name as different programs spell it."""
    return st.sampled_from([name, name.lower(), name.upper(), name.swapcase()])


def line(names: st.SearchStrategy[bytes], contents: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """One field line with its CRLF."""
    return st.builds(b"%b:%b%b%b\r\n".__mod__, st.tuples(names, paddings, contents, paddings))


def field(name: bytes, *contents: bytes) -> st.SearchStrategy[bytes]:
    """A line of a field whose meaning matters to a proxy."""
    return line(any_case(name), st.sampled_from(contents))


plain_fields = line(tokens, values)

request_fields = st.one_of(
    plain_fields,
    field(b"Host", b"orders", b"orders:8080", b"[::1]:80", b"10.0.0.1", b"a b", b"a/b", b"u@a", b""),
    field(b"Connection", b"keep-alive", b"close", b"Upgrade, HTTP2-Settings", b"TE, X-Hop", b"host", b"", b","),
    field(b"Content-Length", b"0", b"5", b"05", b"+5", b"5, 5", b"0x5", b"", b"99999999999999999999"),
    field(b"Transfer-Encoding", b"chunked", b"Chunked", b"gzip", b"gzip, chunked", b"chunked, chunked", b"identity"),
    field(b"Expect", b"100-continue", b"100-Continue", b"nonsense"),
    field(b"Upgrade", b"websocket", b"h2c", b"h2c, websocket"),
    field(b"TE", b"trailers", b"gzip;q=0.5, trailers", b"gzip"),
    field(b"HTTP2-Settings", b"AAMAAABkAARAAAAAAAIAAAAA"),
    field(b"X-Request-Id", b"8c1e", b""),
    field(b"X-Hop", b"1"),
    field(b"Proxy-Connection", b"keep-alive"),
    field(b"Proxy-Authorization", b"Basic YTpi"),
)

response_fields = st.one_of(
    plain_fields,
    field(b"Connection", b"keep-alive", b"close", b"upgrade", b"x-hop"),
    field(b"Content-Length", b"0", b"5", b"5, 5", b"5, 6", b"-1", b""),
    field(b"Transfer-Encoding", b"chunked", b"gzip, chunked", b"gzip", b"identity", b"chunked, chunked"),
    field(b"Keep-Alive", b"timeout=5", b"max=100, timeout=30"),
    field(b"Upgrade", b"websocket"),
    field(b"Trailer", b"X-Sum"),
    field(b"X-Sidecar-Endpoint", b"forged"),
    field(b"Retry-After", b"1"),
)

methods = st.sampled_from([b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"M-SEARCH", b"CONNECT"])
targets = st.sampled_from(
    [b"/", b"/a?b=c", b"//x/%2F", b"*", b"http://orders/x", b"HTTP://o:1", b"http://u@o/", b"o:1"]
)
statuses = st.sampled_from([b"100", b"101", b"103", b"200", b"204", b"304", b"404", b"503", b"700"])
reasons = st.sampled_from([b"", b" ", b" OK", b" Not Found", b" \xc4\xe3\xba\xc3"])


def joined(lines: list[bytes]) -> bytes:
    """Field lines as one text."""
    return b"".join(lines)


request_heads = st.builds(
    b"%b %b HTTP/1.%b\r\n%b%b\r\n".__mod__,
    st.tuples(
        methods,
        targets,
        st.sampled_from([b"1", b"1", b"1", b"0"]),
        st.sampled_from([b"Host: orders\r\n", b"Host: orders\r\n", b""]),
        st.lists(request_fields, max_size=5).map(joined),
    ),
)

response_heads = st.builds(
    b"HTTP/1.%b %b%b\r\n%b\r\n".__mod__,
    st.tuples(
        st.sampled_from([b"1", b"1", b"0"]), statuses, reasons, st.lists(response_fields, max_size=5).map(joined)
    ),
)


@st.composite
def mutated(draw: st.DrawFn, heads: st.SearchStrategy[bytes]) -> bytes:
    """A head in which a few bytes were replaced, doubled or lost."""
    head = bytearray(draw(heads))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(head) - 1))
        head[at : at + draw(st.integers(0, 1))] = draw(
            st.sampled_from(
                [b"", b" ", b"\t", b"\r", b"\n", b"\0", b":", b",", b";", b"\x0b", b"\x80", b"0", b"#", b"\r\n "]
            )
        )
    return bytes(head)
