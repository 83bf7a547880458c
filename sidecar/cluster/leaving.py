"""Leaving: an endpoint that announces its end gets no new requests while another can take them.

Why: a graceful stop shows in the answers before it shows in the registry. Servers close their keep-alive connections
when they pause, answer 503 with `Retry-After`, or carry a marker that the operator knows.

Trip conditions: `Connection: close` on two answers in a row from an endpoint that kept connections open before · a
503 with `Retry-After` · the field named by `leaving_header`.

Recovery: 10 s after the last such answer; or when it stops accepting, for the process that comes after it is another.
"""

from sidecar.cluster.endpoint import Endpoint

LEAVING_FOR = 10.0
"""Seconds; a pausing server is usually gone within them, and a false alarm is soon over."""

CLOSES = 2
"""One closed connection is a server's limit of requests a connection; two in a row are a pattern."""


def signal(endpoint: Endpoint, status: int, *, announced: bool, closing: bool) -> str | None:
    """Counts the closes of `endpoint` and names the announcement in an answer, if there is one."""
    if not closing:
        endpoint.keeps_alive, endpoint.closes = True, 0
    elif endpoint.keeps_alive:
        endpoint.closes += 1
    if announced:
        return "retry_after" if status == 503 else "header"
    return "connection_close" if endpoint.closes >= CLOSES else None
