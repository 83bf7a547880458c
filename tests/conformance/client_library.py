"""What is wrong with the client library and odd about real servers, and which tests show it: docs/reference/client-library.md.

`python -m tests.conformance.client_library > docs/reference/client-library.md` writes the page. Tests say by
`@pytest.mark.defect(5)` that they show a defect hidden, by `reproduces(5)` that they show it in the library itself, by
`fact("R-4")` what they hold against a real server, and by `scenario("S-30")` what they play.
"""

import sys
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from tests.conformance import marks

FOLDERS = ("tests/defects", "tests/e2e", "tests/integration", "tests/unit")


class Defect(NamedTuple):
    """Severity 1 breaks what we promise, 2 hurts, 3 is a nuisance; `layer` is what we have instead."""

    severity: int
    what: str
    hidden: str
    layer: str


DEFECTS: Mapping[int, Defect] = MappingProxyType({
    1: Defect(1, "A stream that the server ends cleanly goes unnoticed, and a health check that is answered with an error from 300 to 399 counts as healthy: no push ever again.", "Whatever ends the stream, and any error that disowns the connection, ends the session.", "stream"),
    2: Defect(1, "After a reconnect nothing is subscribed before a timer of 30 s has come round.", "No session reconnects; the next one counts as connected once the server has its subscriptions.", "session"),
    3: Defect(1, "Callbacks run under the lock of the cache and inside the reader of the stream: a slow one delays every answer to the server, one that asks for a list waits for itself.", "There are no callbacks: a list is acknowledged, then queued for a reader that may sleep.", "lists"),
    4: Defect(1, "A change is noted before it is written to disk and told: a full disk or a failing callback loses it for good.", "Cache and files are not used; a failure on the way ends the session, and the next begins with the list.", "lists"),
    5: Defect(1, "A list whose lastRefTime is not later than that of the last one is dropped.", "Session and order of arrival decide; the time of the server is not even read.", "lists"),
    6: Defect(1, "By default lists from disk are served without a subscription, and replace newer ones when they are loaded late.", "Lists on disk are ours: marked, dialled before use, and over with the first word of the registry.", "lists"),
    7: Defect(1, "Empty lists are dropped by default; one without `hosts` is an error inside, is not acknowledged, and comes again each second.", "Empty is told as empty, unreadable as unreadable, and either is acknowledged.", "lists"),
    8: Defect(2, "Whoever subscribes to what is known already hears nothing until it changes.", "What answers a subscription is told as a list, every time.", "lists"),
    9: Defect(2, "A subscription that fails is remembered all the same.", "A session that could not subscribe is thrown away.", "session"),
    10: Defect(2, "A request to reconnect is neither answered nor followed.", "Acknowledged, and the end of the session.", "stream"),
    11: Defect(2, "An error of gRPC fails a request at once, without another try and without doubt about the connection.", "Two queries in a row without an answer end the session; the next one goes to the next server.", "requests"),
    12: Defect(2, "The reconnecting task dies of an address that it cannot read, may run twice at a time, and its queue has no bound.", "None of the library's tasks is started but the one of defect 22; addresses are read by the configuration.", "session"),
    13: Defect(2, "A handshake that fails leaves its channel open and its reader running.", "Each channel is ours, and closed with its session, however far that came.", "channel"),
    14: Defect(2, "The limit of an HTTP request is in milliseconds and taken for seconds; a refused token is shown again.", "Logins end after `request_timeout` and keep nobody waiting; a refusal costs one login, within the request.", "login"),
    15: Defect(2, "Only the oldest path of a login is known.", "v3 first, then v1.", "login"),
    16: Defect(2, "Passwords travel in addresses, tokens stand in the log.", "A password travels in a body; the library's log is silent, ours holds neither.", "login, log"),
    17: Defect(2, "Without an IPv4 address besides loopback it does not work; with several it shows any.", "The source address of the default route, or loopback.", "local address"),
    18: Defect(2, "It makes folders for logs and lists under HOME, or does not start.", "Nothing of it opens a file.", "lists, log"),
    19: Defect(2, "Every client adds a file to the logger `naming` and cuts it off from all others; whole lists are written at INFO.", "The part that does so is not used, the rest is told to be silent.", "log"),
    20: Defect(3, "An address without a port means port 1000; IPv6 is cut at its first colon.", "Addresses are read by the configuration.", "session"),
    21: Defect(3, "A query for the healthy alone says so in a field that servers do not read.", "All are asked for; choosing is ours.", "lists"),
    22: Defect(3, "A shutdown leaves a task behind.", "It is ended with the session, by force, and counted.", "session"),
    23: Defect(3, "With several event loops in one process, gRPC complains on stderr. (Told by others; not seen with grpcio 1.85.)", "There is one loop.", "session"),
    24: Defect(2, "The limit of a message is set by a name unknown to gRPC: a push above 4 MiB breaks the stream, again and again.", "32 MiB, by the right name.", "channel"),
    25: Defect(2, "No TLS without a certificate of one's own.", "All forms of it.", "channel"),
    26: Defect(3, "One odd host, `metadata: null` for instance, costs the whole list.", "What can be read is read; else the list before stays in force, with a warning.", "lists"),
    27: Defect(3, "A client that never opened cannot be shut down.", "Any session can be closed, and twice.", "session"),
})  # fmt: skip

LAYERS: Mapping[str, str] = MappingProxyType({
    "handshake, messages, requests of naming": "the library's (`NamingGRPCClientProxy`, `GrpcClient.connect_to_server`, the models)",
    "session": "`discovery/supervisor.py`, `life.py`, `approach.py` instead of its redo, health check, reconnecting and server list",
    "channel": "`_Client._create_new_managed_channel` in `discovery/nacos.py`: limits, TLS, one try",
    "stream": "`_Client._server_request_watcher` in `discovery/nacos.py`: lists, ConnectReset and every end of it; ClientDetection goes on to the library",
    "requests": "`_Client.request` in `discovery/nacos.py`: one try, the error code kept",
    "lists": "`discovery/message.py`, `listing.py`, `last_good.py` and the guard instead of its models of lists, cache, callbacks and files",
    "login": "`discovery/login.py`, `access.py`, `signing.py` over `http.py`",
    "log": "its logger is set to CRITICAL",
    "local address": "`local_ip` in `discovery/nacos.py`",
    "imports": "`discovery/absent.py` keeps out what naming never calls",
})  # fmt: skip


class Fact(NamedTuple):
    """What real servers do, and what we make of it."""

    what: str
    then: str


FACTS: Mapping[str, Fact] = MappingProxyType({
    "R-1": Fact("The first subscription that a restarted server accepts is answered with an empty list, though all live: 22 of 22 restarts of 3.1.0 and 2.3.2 with one to three Java providers. We ask up to a second later and got the empty list 21 times, once a partial one; it was whole again after 1.1 to 4.9 s.", "For a minute after a connect whatever a list misses is held and dialled."),
    "R-2": Fact("The unmodified library drops the empty list, or keeps it for 30 s, since its timer falls between two reconnects.", "Every session subscribes at once and tells each list."),
    "R-3": Fact("A query lags behind a change as long as a push does.", "A differing answer is not believed before it has been given for a while, and pushes overtake it."),
    "R-4": Fact("Changes are pushed after half a second, what comes in between is merged, the last state always arrives.", "Nothing to hide; the trial measures it."),
    "R-5": Fact("A provider whose connection closes is gone at once; one that registered over HTTP and stops beating is unhealthy first.", "Health is a hint, absence is what the guard judges; a frozen provider is noticed by its silence."),
    "R-6": Fact("Clients that have been idle for 20 s are asked whether they live, and some that answer are dropped all the same.", "A query at least every 3 s: we are never asked."),
    "R-7": Fact("A changed protectThreshold shows in queries and is never pushed.", "Settled by one session more at most; what is said afterwards agrees."),
    "R-8": Fact("Pushes go on over a connection whose token has expired; only requests are refused.", "The list stays fresh while a login is mended; the refusal is answered with one."),
    "R-9": Fact("A wrong password is answered 500 by 3.1.0, and with a line that is no HTTP by 2.3.2.", "Not logged in, told in the server's own words."),
    "R-10": Fact("Whoever is switched off in the console stays so when registering again, and is on no list for clients: the last one switched off looks like a false empty list.", "The list for administrators tells the two apart where it may be read; else the list is doubted as any."),
    "R-11": Fact("A persistent instance that refuses is listed for ever, as unhealthy.", "Left out while others are healthy."),
    "R-12": Fact("Each generation has its own HTTP interface; the older ones answer 404, 410 or 501.", "Asked from the newest down; subscribers are shown by the name of the application."),
    "R-13": Fact("In a cluster whose node dies a provider that was registered there and registers at another one stands on the list twice when it says anything else of itself, and once more after it has left: for three minutes on 2.3.2, longer on 3.1.0.", "Of two entries of an address the healthy one counts; what is listed and refuses is quarantined, and told as a zombie."),
})  # fmt: skip

SCENARIOS: Mapping[str, str] = MappingProxyType({
    "S-01": "providers restart one after another under load",
    "S-02": "an instance refuses while it is still listed",
    "S-03": "an instance is listed before it accepts",
    "S-04": "the last instance is deregistered and runs on",
    "S-05": "an empty list while all answer",
    "S-06": "an empty list while all refuse",
    "S-07": "a list shrinks from ten to one while nine still answer",
    "S-08": "a reconnect brings a partial list first",
    "S-09": "the query of one service fails, those of others do not",
    "S-10": "all are unhealthy, and called healthy under protectThreshold",
    "S-11": "the clock of the next server is an hour behind",
    "S-12": "two lists with one time",
    "S-13": "one address stands on a list twice",
    "S-14": "an address comes back as something else",
    "S-15": "weight 0, of one and of all",
    "S-16": "the stream ends, requests are answered on",
    "S-17": "requests are answered that the connection is unknown",
    "S-18": "a server swallows everything",
    "S-19": "no registry at the start",
    "S-20": "no registry while providers restart on their addresses",
    "S-21": "the registry restarts: refusing, starting, empty, whole",
    "S-22": "a push is lost",
    "S-23": "lists that cannot be read",
    "S-24": "tokens expire, passwords change, logins of every generation",
    "S-25": "the server asks us to reconnect",
    "S-26": "a push of five megabytes",
    "S-27": "200 services, a storm of pushes, a reader that sleeps",
    "S-28": "listed as healthy for ever, and refusing",
    "S-29": "loopback only, read-only root, no HOME",
    "S-30": "a registry that accepts and drops us a hundred times",
})  # fmt: skip

_HEAD = """\
# The client library, and the servers it talks to

Made from `tests/conformance/client_library.py` by `python -m tests.conformance.client_library`.

nacos-sdk-python 3.2.0 gives us the handshake, the messages and the requests of naming. It has defects that would break
what we promise, so that little else of it is used: one client of it is one *session*, which is thrown away on the
first doubt and never repaired. Each defect has a test that shows it hidden and, next to it, one that shows it in the
library itself: an upgrade that mends it fails that test, and what we have instead may go.

## Whose layer it is

| layer | whose |
|---|---|
"""

_DEFECTS = """
## Defects

Severity 1 would break what we promise, 2 hurts, 3 is a nuisance.

| no. | severity | what the library does | how it is hidden | our layer | shown hidden by | shown in the library by |
|---|---|---|---|---|---|---|
"""

_FACTS = """
What is left shows in metrics: `sidecar_registry_reconnects_total` (sessions begun anew, by reason),
`sidecar_registry_tasks_cancelled_total`, `sidecar_registry_queries_total`, `sidecar_registry_snapshot_age_seconds`.

## Facts about servers

No documentation tells them. Tests marked so hold each against real servers, 3.1.0 and 2.3.2, or show what follows.

| fact | what servers do | what we do | shown by |
|---|---|---|---|
"""

_SCENARIOS = """
## What users suffered

| scenario | what happens | played by |
|---|---|---|
"""


def defects() -> dict[int, list[str]]:
    """Defect → tests that show it hidden."""
    return marks.shown_by("defect", *FOLDERS)


def reproductions() -> dict[int, list[str]]:
    """Defect → tests that show it in the library."""
    return marks.shown_by("reproduces", *FOLDERS)


def facts() -> dict[str, list[str]]:
    """Fact → tests that hold it against a server, or show what follows from it."""
    return marks.shown_by("fact", *FOLDERS)


def scenarios() -> dict[str, list[str]]:
    """Scenario → tests that play it."""
    return marks.shown_by("scenario", *FOLDERS)


def page() -> str:
    """The page of the reference."""
    hidden, shown, held, played = defects(), reproductions(), facts(), scenarios()
    return "".join(
        (
            _HEAD,
            *(_row(layer, whose) for layer, whose in LAYERS.items()),
            _DEFECTS,
            *(
                _row(
                    number, one.severity, one.what, one.hidden, one.layer, _tests(hidden, number), _tests(shown, number)
                )
                for number, one in DEFECTS.items()
            ),
            _FACTS,
            *(_row(name, fact.what, fact.then, _tests(held, name)) for name, fact in FACTS.items()),
            _SCENARIOS,
            *(_row(name, what, _tests(played, name)) for name, what in SCENARIOS.items()),
        )
    )


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |\n"


def _tests(shown: Mapping[Any, Iterable[str]], key: object) -> str:
    return "<br>".join(f"`{test}`" for test in shown.get(key, ())) or "-"


if __name__ == "__main__":
    sys.stdout.write(page())
