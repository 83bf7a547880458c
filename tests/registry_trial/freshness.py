"""The rows of *Freshness*: within what time the true list is in use again, whatever the registry did.

Where the fault can be brought about on a real server it is; the rest is played on the embedded registry.
"""

from functools import partial

from tests.registry_trial import logins, pushes, sessions
from tests.registry_trial.row import Bar, Ground, Row, Section
from tests.support import own_network

_F = Section.FRESHNESS
_NACOS_3, _NACOS_2, _EMBEDDED = Ground.NACOS_3, Ground.NACOS_2, Ground.EMBEDDED
_TEN = Bar(10.0)
_NEXT = Bar(1.0, words="next push or query (1 s)")

PRECISE = (
    Row(_F, "push reaches the socket", _NACOS_3, Bar(0.050), partial(pushes.arrives, version="3.1.0")),
    Row(_F, "push reaches the socket", _NACOS_2, Bar(0.050), partial(pushes.arrives, version="2.3.2")),
)
"""To be played while nothing else is."""

_RESTART = Bar(5.0, words="5 s after the server itself lists them")

REAL = (
    Row(_F, "Nacos process restarted", _NACOS_3, _RESTART, partial(sessions.restarted, version="3.1.0")),
    Row(_F, "Nacos process restarted", _NACOS_2, _RESTART, partial(sessions.restarted, version="2.3.2")),
    (
        Row(_F, "server black-holed, another configured", _NACOS_3, _TEN, sessions.black_holed)
        if own_network.can_drop()
        else Row(_F, "server black-holed, another configured", _EMBEDDED, _TEN, sessions.mute)
    ),
    Row(_F, "ConnectReset", _NACOS_3, _TEN, partial(sessions.sent_away, version="3.1.0")),
    Row(_F, "ConnectReset", _NACOS_2, _TEN, partial(sessions.sent_away, version="2.3.2")),
    Row(_F, "server list changed", _NACOS_3, _TEN, sessions.addresses_changed),
    Row(_F, "stream ended cleanly by the server", _NACOS_3, _TEN, sessions.thrown_out),
)

USERS = (
    Row(_F, "token expired", _NACOS_3, _TEN, logins.expired),
    Row(_F, "403: right taken and given", _NACOS_3, Bar(10.0, words="10 s after the server's yes"), logins.forbidden),
    Row(_F, "password rotated in its file", _NACOS_3, Bar(10.0, words="10 s after the file"), logins.rotated),
)

EMBEDDED = (
    Row(_F, "stream ended cleanly by the server", _EMBEDDED, _TEN, sessions.stream_ended),
    Row(_F, "connection unregistered (301)", _EMBEDDED, _TEN, sessions.unregistered),
    Row(_F, "server falls mute at a login, another configured", _EMBEDDED, _TEN, sessions.mute_at_login),
    Row(_F, "server's clock jumps back", _EMBEDDED, _NEXT, pushes.clock_jumps_back),
    Row(_F, "next node's clock is behind", _EMBEDDED, _NEXT, pushes.next_clock_is_behind),
    Row(_F, "a single push lost", _EMBEDDED, Bar(33.0), pushes.lost),
    Row(
        _F,
        "a single push lost, a listed instance refuses",
        _EMBEDDED,
        Bar(3.0, words="3 s after the refusal"),
        pushes.lost_and_refused,
    ),
)
