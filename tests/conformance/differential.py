"""One stream of bytes, three readers: the sidecar, an instance behind it, and h11 as judge of what the app has sent.

Whatever the bytes are:
- the instance reads whole requests that are a beginning of what h11 reads from the app's own bytes: none is made up,
  split or glued together, and each has the same method, target, body and end-to-end fields;
- none of these could be read in another way by another reader, neither as the app sent it nor as the instance got it;
- h11 finds nothing wrong in what the instance got;
- the app gets as many answers from the instance as requests reached it, in their order, and after them at most one
  refusal by the sidecar.
"""

import re

from tests.conformance.wire import Wire, cut
from tests.support.strict_instance import Seen, read_all, read_answers

_HOP = {
    *(b"host", b"connection", b"keep-alive", b"proxy-connection", b"te", b"transfer-encoding", b"upgrade"),
    *(b"http2-settings", b"x-request-id", b"expect"),
}

_KEPT = {b"authorization", b"cookie", b"set-cookie", b"cache-control"}
"""Whom `Connection` cannot name."""


async def judge(wire: Wire, data: bytes, packets: list[bytes]) -> None:
    """Raises AssertionError where the readers differ."""
    got = await wire.cross(data, cut(packets))
    seen = wire.instance.seen
    said = read_all(data)
    assert list(map(essence, seen)) == list(map(essence, said.whole[: len(seen)])), "another request than the app's"
    assert not any(request.ambiguous for request in seen), "the instance may read it in two ways"
    assert not any(request.ambiguous for request in said.whole[: len(seen)]), "what has two meanings has gone on"
    assert wire.instance.errors == [], "the instance got what is not HTTP"
    answers = read_answers(got, [request.method for request in seen])
    assert answers.error is None, "the app got what is not HTTP"
    assert answers.bodies[: len(seen)] == [b"" if r.method == b"HEAD" else r.target for r in seen], "out of order"
    assert len(answers.statuses) == len(seen) + len(answers.local), "a number of answers that nobody gave"
    assert len(answers.local) <= 1
    stats = wire.stack.cluster.stats
    assert stats.requests_in_flight == 0


def essence(seen: Seen) -> tuple[object, ...]:
    """What must not change on the way."""
    target = re.sub(rb"\A(?i:http)://[^/?]*", b"", seen.target)
    if not target and seen.method == b"OPTIONS":
        target = b"*"  # RFC 9112 §3.2.4: asked of the whole server
    elif not target.startswith((b"/", b"*")):
        target = b"/" + target
    named = {
        part.strip().lower() for name, value in seen.headers if name == b"connection" for part in value.split(b",")
    }
    hop = _HOP | {name for name in named if not name.startswith(b"content-")} - _KEPT
    if target != seen.target:
        hop |= {b"proxy-authorization"}  # we are the proxy that was addressed
    return seen.method, target, [pair for pair in seen.headers if pair[0] not in hop], seen.body
