"""What HTTP/1.1 asks of an intermediary, what we do, and which tests show it: the source of docs/reference/http.md.

`python -m tests.conformance.checklist > docs/reference/http.md` writes the page. A test names the rules it shows by
`@pytest.mark.http("H-12")`; the marks are read from the modules as they are imported, so they may be computed.
"""

import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from tests.conformance import evidence, marks

FOLDERS = ("tests/conformance", "tests/integration/proxy")


class Rule(NamedTuple):
    """One rule: where it stands, and what the sidecar does about it."""

    section: str
    behaviour: str


RULES: Mapping[str, Rule] = MappingProxyType({
    "H-01": Rule("9112 §2.2", "Messages are bytes from end to end; only the log decodes them (latin-1)."),
    "H-02": Rule("9112 §2.2", "A CR that no LF follows is refused, in requests (400) and in answers (502)."),
    "H-03": Rule("9112 §2.2", "Space before the first field: a request is refused, in an answer that line is dropped."),
    "H-04": Rule("9112 §2.2", "Up to four empty lines may precede a request; more are a 400."),
    "H-05": Rule("9112 §2.2", "LF without CR ends no line of a request (400); answers may use it and are rewritten with CRLF."),
    "H-06": Rule("9112 §2.3", "Both sides get HTTP/1.1 from us; an app of 1.0 gets neither chunks nor 1xx."),
    "H-07": Rule("9110 §15.6.6", "Any version but 1.0 and 1.1 is a 505."),
    "H-08": Rule("9112 §3", "A request line that does not parse is a 400, and the connection ends. Repeated spaces in it are taken as one."),
    "H-09": Rule("9110 §9.1", "Methods are case-sensitive. *Deviation:* one that the parser does not list is a 501 instead of being passed on."),
    "H-10": Rule("9112 §3", "Request lines of 8000 bytes and more pass; one that alone exceeds `max_header_bytes` is a 414."),
    "H-11": Rule("9112 §3.2", "No Host, two, or an impossible one in 1.1 is a 400; 1.0 may leave it out, the instance then sees the service's name."),
    "H-12": Rule("9112 §3.2.2", "A target in absolute form names the host, whatever Host says, and goes on in origin form; https and user information are a 400."),
    "H-13": Rule("9110 §9.3.6", "CONNECT is a 501 on every listener; an authority as target of another method is a 400."),
    "H-14": Rule("9112 §3.2.4", "`*` goes with OPTIONS only; OPTIONS of an absolute target without path becomes `*`."),
    "H-15": Rule("9112 §3.2", "A target is visible ASCII without a fragment; all of that passes unchanged, anything else is a 400."),
    "H-16": Rule("9112 §5.1", "Space before the colon: a request is refused, an answer is passed on without it."),
    "H-17": Rule("9112 §5.2", "Folded lines: a request is refused, in an answer they become one line."),
    "H-18": Rule("9110 §5.5", "NUL, controls and nameless fields are refused; bytes above 0x7F pass."),
    "H-19": Rule("9110 §5.3", "Unknown fields go on; order, case and repetition stay as they are, nothing is merged."),
    "H-20": Rule("9110 §5.4", "A head over `max_header_bytes` or `max_headers` is a 431, of an instance a 502."),
    "H-21": Rule("9112 §6.1", "Transfer-Encoding is never sent to 1.0, nor with 1xx or 204."),
    "H-22": Rule("9112 §6.1", "Transfer-Encoding in HTTP/1.0: a request is a 400; an answer is read, its connection not used again."),
    "H-23": Rule("9112 §6.1", "A request with a transfer coding other than chunked is a 501."),
    "H-24": Rule("9112 §6.1", "Chunked once and last: else a request is a 400. An answer may say it twice, we say it once; other codings of an answer are kept, and a 1.0 app gets a 502 for them."),
    "H-25": Rule("9112 §6.2", "Content-Length and Transfer-Encoding never leave together; framing is made anew."),
    "H-26": Rule("9112 §6.3", "Answers to HEAD, 1xx, 204 and 304 have no body, whatever their fields say."),
    "H-27": Rule("9112 §6.3", "Both framings at once: a request is a 400; in an answer chunked wins, the length goes, its connection is not used again."),
    "H-28": Rule("9112 §6.3", "Codings that do not end in chunked: a request is refused; an answer lasts until its connection closes."),
    "H-29": Rule("9112 §6.3", "Content-Length that is repeated, listed or not a plain number: a request is a 400; equal ones in an answer become one, differing ones are a 502."),
    "H-30": Rule("9112 §6.3", "A request without framing has no body; an answer without framing ends with FIN, and only with FIN."),
    "H-31": Rule("9112 §6.3", "Bytes behind a complete answer are thrown away with their connection."),
    "H-32": Rule("9112 §7.1", "A chunk size is hexadecimal digits, fifteen at most, and must be right; in answers spaces may follow it."),
    "H-33": Rule("9112 §7.1.1", "Chunk extensions are dropped; over 4 KiB a chunk, or 64 KiB a message beyond an eighth of its payload, they are refused."),
    "H-34": Rule("9112 §7.1.2", "Trailers stay trailers: to the instance always, to the app when it asked or the answer declared them; without those that frame, route or authenticate; 64 fields and 16 KiB at most."),
    "H-35": Rule("9110 §10.1.4", "TE ends here; `TE: trailers` is said anew for an app that said it."),
    "H-36": Rule("9112 §8", "An incomplete request never looks complete: its connection to the instance is cut, without a last chunk."),
    "H-37": Rule("9112 §8", "An incomplete answer never looks complete: no last chunk, and the app's connection is reset."),
    "H-38": Rule("9112 §9.2", "Bytes on an idle connection of an instance end it; they are nobody's answer."),
    "H-39": Rule("9112 §9.3", "1.1 persists unless told to close. *Deviation:* so does a 1.0 app that asks for it, if the answer has a length."),
    "H-40": Rule("9112 §9.3", "An answer before the end of the upload is passed on at once; the upload stops, and the app's connection ends without destroying the answer."),
    "H-41": Rule("9110 §9.2.2", "Only what is idempotent, or proven not to have arrived, is repeated. *Deviation:* the proof counts for POST too, unless `retry.non_idempotent: never`."),
    "H-42": Rule("9112 §9.3.2", "Pipelined requests are served one by one and answered in order; what waits is kept up to 64 KiB, then reading stops."),
    "H-43": Rule("9112 §9.4", "Connections and requests of a service are limited; beyond that a 503 says so."),
    "H-44": Rule("9112 §9.6", "A connection ends by FIN first, then what still comes is read for two seconds; an app's own FIN does not cancel what it has asked."),
    "H-45": Rule("9112 §9.6", "Nothing behind a request with `Connection: close` is read."),
    "H-46": Rule("9112 §9.8", "Towards instances with `tls`: an answer until close is complete by close_notify; FIN without it, as anything but FIN without TLS, is truncated. Apps speak plainly: a handshake is a 400."),
    "H-47": Rule("9112 §11", "Framing and hop-by-hop fields are never copied, so nothing can be split or smuggled by them."),
    "H-48": Rule("9110 §6.6.1", "Date is set on our own answers only."),
    "H-49": Rule("9110 §7.2", "Host is the first field of every request we send."),
    "H-50": Rule("9110 §7.6", "An endpoint that is the sidecar itself gets no requests."),
    "H-51": Rule("9110 §7.6.1", "Fields of one hop, and those that Connection names, end here; it cannot name Host, Authorization, Cookie, Cache-Control or Content-*."),
    "H-52": Rule("9110 §7.6.2", "*Deviation:* Max-Forwards is passed on as it is: there is no hop to trace in a sidecar."),
    "H-53": Rule("9110 §7.6.3", "*Deviation:* Via is added only with `via: true`; that of others stays."),
    "H-54": Rule("9110 §7.7", "Path and query are never normalised; an empty path becomes `/`."),
    "H-55": Rule("9110 §7.7", "Bodies are not touched, codings of content neither."),
    "H-56": Rule("9110 §7.8", "An offer to upgrade goes on from a GET of 1.1 without body, never for h2c; after 101 bytes go both ways; a 101 nobody asked for, or to a protocol that was not offered, is a 502."),
    "H-57": Rule("9110 §8.6", "A length that goes on is the one that was checked; to HEAD and with 304 it is kept."),
    "H-58": Rule("9110 §9.3", "GET may have a body, and TRACE is passed on like any other."),
    "H-59": Rule("9110 §10.1.1", "Expect goes on, the 100 comes from the instance, a refusal ends the matter; from 1.0 it is ignored."),
    "H-60": Rule("9110 §13, §14", "Allow, conditions and ranges are for the instance and the app."),
    "H-61": Rule("9110 §10.2.3", "Retry-After is passed on; with a 503 it also means that the endpoint is leaving."),
    "H-62": Rule("9110 §11", "Authorization goes on; Proxy-Authorization ends here when we were addressed as a proxy."),
    "H-63": Rule("9110 §15.2", "1xx go on in order, any number; after one nothing is repeated."),
    "H-64": Rule("9110 §15.5.9", "A head that does not come in time is a 408; a connection without a byte of one is closed silently."),
    "H-65": Rule("9110 §15.5.20", "421 is never of our making: an unknown host is a 502. That of an instance is passed on."),
    "H-66": Rule("9110 §15.6", "502: an answer that is none; 503: nobody to ask, or a limit; 504: too late; each with its reason."),
})  # fmt: skip

_HEAD = """\
# HTTP/1.1, rule by rule

What RFC 9110 and RFC 9112 ask of an intermediary, what the sidecar does, and the tests that show it with raw bytes at
both ends. Made from `tests/conformance/checklist.py` by `python -m tests.conformance.checklist`.

| id | RFC | what happens | shown by |
|---|---|---|---|
"""


def shown_by() -> dict[str, list[str]]:
    """Rule → the tests that carry its mark."""
    return marks.shown_by("http", *FOLDERS)


def page() -> str:
    """The page of the reference."""
    shown = shown_by()
    rows = (
        f"| {name} | {rule.section} | {rule.behaviour} | {'<br>'.join(f'`{test}`' for test in shown.get(name, ()))} |\n"
        for name, rule in RULES.items()
    )
    return _HEAD + "".join(rows) + evidence.page()


if __name__ == "__main__":
    sys.stdout.write(page())
