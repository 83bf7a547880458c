"""`wait` and `status`: the admin port asked from outside, with nothing but the standard library, so that they start at once.

Both return the exit code of their command.
"""

import json
import sys
import time
from http.client import HTTPConnection, HTTPException
from typing import Any, TextIO
from urllib.parse import quote

from sidecar.admin.tables import status_table
from sidecar.clock import monotonic
from sidecar.exits import Exit

POLL = 0.2
"""Seconds between two looks at /readyz."""

_PATIENCE = 5.0
"""Seconds that one answer may take."""

_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1", "*": "127.0.0.1"}


def wait(admin: str, *, timeout: float, err: TextIO = sys.stderr) -> int:
    """Polls /readyz until it answers 200; on time-out says which latches are closed.

    A look that is cut short because time is up tells nothing about the sidecar: then the one before counts.
    """
    deadline = monotonic() + timeout
    why = ""
    while True:
        left = deadline - monotonic()
        status, body = _look(admin, "/readyz?verbose&format=json", patience=max(POLL, min(left, _PATIENCE)))
        if status == 200:
            return Exit.OK
        if status or not why or monotonic() < deadline:
            why = _why_not_ready(admin, status, body)
        if deadline - monotonic() <= POLL:
            err.write(f"not ready after {timeout:g}s: {why}\n")
            return Exit.UNAVAILABLE
        time.sleep(POLL)


def status(
    admin: str,
    *,
    format: str = "text",  # noqa: A002 - the flag of the command
    service: str | None = None,
    out: TextIO = sys.stdout,
    err: TextIO = sys.stderr,
) -> int:
    """Shows /clusters as a table (`text`) or as it is (`json`)."""
    only = "" if service is None else f"&service={quote(service, safe='')}"
    code, body = _look(admin, f"/clusters?format=json{only}", patience=_PATIENCE)
    document = _document(body)
    if code != 200 or "clusters" not in document:
        err.write(f"{_no_sidecar(admin, code, body)}\n")
        return Exit.UNAVAILABLE
    if service is not None and not document["clusters"]:
        err.write(f"no service {service!r}\n")
        return Exit.USAGE
    out.write(body if format == "json" else status_table(document))
    return Exit.OK


def target(admin: str) -> tuple[str, int]:
    """Host and port of `host:port`; a wildcard host becomes loopback. Raises ValueError for anything else."""
    host, colon, port = admin.rpartition(":")
    if not colon or not port.isdecimal():
        raise ValueError(f"expected an address such as 127.0.0.1:19901, got {admin!r}")
    host = host.removeprefix("[").removesuffix("]")
    return _WILDCARDS.get(host, host), int(port)


def _look(admin: str, path: str, *, patience: float) -> tuple[int, str]:
    """Status and body of one GET; status 0 and the reason when there is no answer."""
    connection = HTTPConnection(*target(admin), timeout=patience)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    except OSError as error:
        return 0, error.strerror or str(error) or type(error).__name__
    except (HTTPException, UnicodeError) as error:
        return 0, str(error) or type(error).__name__
    finally:
        connection.close()


def _document(body: str) -> dict[str, Any]:
    """Empty where it is no JSON object."""
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _no_sidecar(admin: str, status: int, body: str) -> str:
    """What a port says that does not answer as a sidecar does."""
    return f"{admin}: {f'status {status}' if status else body}: does the sidecar run, and is that its admin.listen (--admin)?"


def _why_not_ready(admin: str, status: int, body: str) -> str:
    try:
        latches = _document(body)["latches"]
        return ", ".join(f"{latch['name']} ({latch['why']})" for latch in latches if not latch["open"])
    except (TypeError, KeyError):
        return _no_sidecar(admin, status, body)
