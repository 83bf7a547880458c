"""The rows of *Guard*: whom the sidecar goes on using when the registry does not list them, and for how long.

Where the fault can be brought about on a real server it is; false lists out of nowhere are played on the embedded one.
"""

from functools import partial

from tests.registry_trial import doubts, farewells, orders
from tests.registry_trial.farewells import CONFIRM, MAX_HOLD
from tests.registry_trial.row import Bar, Ground, Row, Section

_G = Section.GUARD
_NACOS_3, _NACOS_2, _EMBEDDED = Ground.NACOS_3, Ground.NACOS_2, Ground.EMBEDDED

_NO_CALL = Bar(None)
_WHOLE = Bar(5.0, words="no call fails; whole 5 s after the server is")
_TOLD = Bar(2.0, words="push and query (2 s)")
_SHORT = f"confirm: {CONFIRM:g}s"

NACOS_3 = (
    Row(
        _G,
        "Nacos restarted, ten Python providers register again slowly",
        _NACOS_3,
        _WHOLE,
        partial(doubts.restarted_under_python, version="3.1.0", count=10),
        settings=_SHORT,
    ),
    Row(
        _G,
        "scaled to zero, probes are refused",
        _NACOS_3,
        Bar(1.0, words="a probe interval (1 s)"),
        partial(farewells.scaled_to_zero, version="3.1.0"),
    ),
    Row(
        _G,
        "last instance deregistered, runs on: obey",
        _NACOS_3,
        _TOLD,
        partial(farewells.obeyed, version="3.1.0"),
        settings="on_empty: obey",
    ),
    Row(_G, "weight 0", _NACOS_3, _TOLD, partial(orders.weight_zero, version="3.1.0")),
    Row(_G, "disabled, one and all", _NACOS_3, _TOLD, partial(orders.disabled, version="3.1.0")),
    Row(
        _G,
        "all unhealthy, then under protectThreshold",
        _NACOS_3,
        _NO_CALL,
        partial(doubts.called_unhealthy, version="3.1.0"),
    ),
    Row(_G, "one address listed twice", _NACOS_3, _NO_CALL, partial(doubts.listed_twice, version="3.1.0")),
    Row(
        _G,
        "operator at the sidecar",
        _NACOS_3,
        Bar(0.5),
        partial(orders.by_hand, version="3.1.0"),
        settings="on_empty: obey, shrink_threshold: 1.0",
    ),
)

NACOS_2 = (
    Row(
        _G,
        "Nacos restarted, two Java providers register again",
        _NACOS_2,
        _WHOLE,
        partial(doubts.restarted_under_java, version="2.3.2", count=2),
        settings=_SHORT,
    ),
    Row(
        _G,
        "Nacos down, providers restart on their addresses",
        _NACOS_2,
        _WHOLE,
        partial(doubts.providers_restart_without_nacos, version="2.3.2"),
    ),
    Row(
        _G,
        "last instance deregistered, runs on: hold, one node",
        _NACOS_2,
        Bar(MAX_HOLD + 1.0, words=f"max_hold ({MAX_HOLD:g} s)"),
        partial(farewells.expired, version="2.3.2"),
        settings=f"{_SHORT}, max_hold: {MAX_HOLD:g}s",
    ),
    Row(
        _G,
        "registration lost for a while",
        _NACOS_2,
        _TOLD,
        partial(doubts.loses_one, version="2.3.2"),
    ),
    Row(
        _G,
        "two of three deregistered, run on: the second node is gone",
        _NACOS_2,
        Bar(CONFIRM + 4.0, words=f"confirm ({CONFIRM:g} s), and three questions in vain (5 s)"),
        partial(farewells.unopposed, version="2.3.2"),
        settings=_SHORT,
    ),
    Row(_G, "weight 0", _NACOS_2, _TOLD, partial(orders.weight_zero, version="2.3.2")),
    Row(_G, "disabled, one and all", _NACOS_2, _TOLD, partial(orders.disabled, version="2.3.2")),
    Row(
        _G,
        "all unhealthy, then under protectThreshold",
        _NACOS_2,
        _NO_CALL,
        partial(doubts.called_unhealthy, version="2.3.2"),
    ),
    Row(
        _G,
        "dead instance stays listed: zombie",
        _NACOS_2,
        Bar(11.0, words="told 10 s after the first refusal"),
        partial(farewells.stays_listed, version="2.3.2"),
    ),
    Row(
        _G,
        "address taken over by another service",
        _NACOS_2,
        _NO_CALL,
        partial(doubts.taken_over, version="2.3.2"),
    ),
)

EMBEDDED = (
    Row(_G, "false empty list, all alive", _EMBEDDED, _TOLD, doubts.false_empty, settings=_SHORT),
    Row(_G, "list shrinks from ten to one and grows back", _EMBEDDED, _TOLD, doubts.shrinks_to_one, settings=_SHORT),
)

TWO_NODES = (
    Row(
        _G,
        "last instance deregistered, runs on: hold, two nodes",
        _NACOS_3,
        Bar(CONFIRM + 2.5, words=f"confirm ({CONFIRM:g} s) and the other's answer (2 s)"),
        farewells.confirmed,
        settings=_SHORT,
    ),
    Row(_G, "one of two nodes misses all", _NACOS_3, _NO_CALL, farewells.disputed, settings=_SHORT),
)
"""To be played when nobody else uses the two servers that stand in for the nodes of a cluster."""
