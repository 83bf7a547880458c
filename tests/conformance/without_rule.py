"""The data path with one rule taken out: what shows that a test on the wire would notice its absence.

A rule is taken out by writing a few words of a function of the product in another way, in memory, for as long as
one test runs. The function stays the same object, so everybody who calls it meets the other code.
"""

import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FunctionType
from typing import Any, NamedTuple

from sidecar.proxy.http1 import chunked, message, parser, request, request_fields, response, response_fields
from sidecar.proxy.http1.chunked import ChunkedReader
from sidecar.proxy.http1.exchange import Exchange
from sidecar.proxy.http1.request import RequestHead
from sidecar.proxy.http1.request_fields import RequestFields
from sidecar.proxy.http1.response import ResponseHead
from sidecar.proxy.http1.response_fields import ResponseFields


class Omission(NamedTuple):
    """`words` of the function `where` become `instead`, and the rule no longer holds."""

    rule: str
    where: Callable[..., Any]
    words: str
    instead: str

    @property
    def place(self) -> str:
        """`module.function`, for people."""
        return f"{self.where.__module__.rpartition('.')[2]}.{self.where.__qualname__}"


OMISSIONS = (
    Omission("H-04", request._leading_blank, "blank > LEADING_BLANK", "False"),
    Omission("H-06", Exchange.interim, "self.request.minor == 0", "False"),
    Omission("H-07", parser.clean_request, 'line[2] != b"1" or line[3] not in {b"0", b"1"}', "False"),
    Omission("H-09", request._read_strict, "method not in _SERVED", 'method == b"CONNECT"'),
    Omission("H-10", request._over_limits, r'b"\n" in head[: limits.max_header_bytes]', "True"),
    Omission("H-11", RequestFields._check_host, "self.minor == 1", "False"),
    Omission("H-11", RequestFields._check_host, "_AUTHORITY(self.authority) is None", "False"),
    Omission("H-11", request_fields._host, "seen.authority is not None", "False"),
    Omission("H-12", RequestHead._resolve, "self.authority = authority", "pass"),
    Omission("H-12", RequestHead._resolve, 'found[1].lower() != b"http"', "False"),
    Omission("H-13", request._read_strict, "method not in _SERVED", "method not in METHODS"),
    Omission("H-14", RequestHead._resolve, 'and self.method == b"OPTIONS"', ""),
    Omission("H-20", request._read_strict, 'block.count(b"\\n") > limits.max_headers + 1', "False"),
    Omission("H-20", response.read_response, "or head.lines > limits.max_headers", ""),
    Omission("H-21", ResponseHead.__init__, "or self.status in _BODILESS", ""),
    Omission("H-22", RequestFields._frame, "self.minor == 0", "False"),
    Omission("H-23", RequestFields._frame, 'codings != [b"chunked"]', "False"),
    Omission("H-24", RequestFields._frame, 'b"chunked" in codings[:-1]', "False"),
    Omission("H-25", ResponseFields._frame, 'self.named.add(b"content-length")\n    elif', "pass\n    elif"),
    Omission("H-26", ResponseHead.__init__, "bodiless or", ""),
    Omission("H-27", RequestFields._frame, "length >= 0", "False"),
    Omission("H-29", request_fields._content_length, "seen.length >= 0 or", ""),
    Omission("H-29", request_fields._content_length, "or not is_length(value)", ""),
    Omission("H-29", ResponseFields._agreed_length, "len(set(lengths)) > 1", "False"),
    Omission("H-32", ChunkedReader._payload, r'data[at : at + left] != b"\r\n"[-left:][: end - at]', "False"),
    Omission("H-33", ChunkedReader._size, "self._overhead > MAX_OVERHEAD or", ""),
    Omission("H-33", ChunkedReader._size, "or found.end() - at > MAX_SIZE_LINE", ""),
    Omission("H-34", chunked.last_chunk, r'_not_a_trailer(b"", b"\r\n" + trailers)', r'(b"\r\n" + trailers)'),
    Omission("H-34", ChunkedReader._end, r'or self.trailers.count(b"\n") > MAX_TRAILERS', ""),
    Omission("H-35", request_fields._te, "return True", "return False"),
    Omission("H-39", RequestFields.__init__, '(minor == 1 or b"keep-alive" in self.connection)', "minor == 1"),
    Omission("H-51", message.removable, "name not in _KEPT_BY_CONNECTION and", ""),
    Omission("H-51", response_fields._connection, "return True", "return False"),
    Omission("H-53", RequestHead.to_instance, "if via else", "if True else"),
    Omission("H-54", RequestHead._resolve, 'b"/" + rest', "rest"),
    Omission("H-56", RequestFields.__init__, 'or b"upgrade" not in self.connection', ""),
    Omission("H-56", response.read_response, "not _was_offered(head.upgrade, request.upgrade)", "False"),
    Omission("H-59", request_fields._expect, "seen.minor == 0", "False"),
    Omission("H-62", RequestHead.__init__, 'without(self.block, {b"proxy-authorization"})', "self.block"),
)  # fmt: skip
"""What is taken out, a rule at a time."""


@contextmanager
def without(omission: Omission) -> Iterator[None]:
    """The product without that rule."""
    function = inspect.unwrap(omission.where)
    assert isinstance(function, FunctionType)
    whole = function.__code__
    function.__code__ = _rewritten(function, omission)
    _forget()
    try:
        yield
    finally:
        function.__code__ = whole
        _forget()


def _rewritten(function: FunctionType, omission: Omission) -> CodeType:
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(omission.words) == 1, f"{omission.place} has changed: `{omission.words}` is not once in it"
    changed = source.replace(omission.words, omission.instead)
    space: dict[str, Any] = {}
    exec(compile(changed, f"<{omission.place} without {omission.rule}>", "exec"), function.__globals__, space)
    (other,) = space.values()
    code: CodeType = other.__code__
    return code


def _forget() -> None:
    """What was understood with another set of rules."""
    for remembered in (
        request_fields._meaning,
        request_fields._remembered,
        response_fields._meaning,
        response._remembered,
    ):
        remembered.cache_clear()
