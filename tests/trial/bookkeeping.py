"""What the sidecar says of itself after a row: read where an operator reads it."""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from tests.support.sidecar_process import SidecarProcess
from tests.support.until import until
from tests.trial.verdict import Books, Loss

Record = dict[str, Any]

RESCUES = ("retry", "wait", "guard", "proof", "address")

_FLUSHED = 30.0
"""Seconds that the last line of the access log gets on a machine that is very busy; half a one is the contract."""


async def books(sidecar: SidecarProcess, service: str, calls: int) -> Books:
    """Once so many calls stand in the access log; with fewer the verdict has something to object to."""

    async def written() -> bool:
        return _log(sidecar).count("\n") >= calls

    with suppress(TimeoutError):
        await until(written, within=_FLUSHED, pause=0.1)
    metrics = (await sidecar.admin("/metrics")).body.decode()
    records = [json.loads(line) for line in _log(sidecar).splitlines()]
    events = sidecar.events()
    return Books(
        counted=_sum(metrics, f'sidecar_requests_total{{service="{service}",'),
        logged=len(records),
        upstreams={_id(record): record["upstream_host"] or "-" for record in records},
        losses=[loss for record in records for loss in _losses(record)],
        rescued={
            by: _sum(metrics, f'sidecar_rescued_requests_total{{service="{service}",by="{by}"}}') for by in RESCUES
        },
        ejections=sum(event["event"] == "endpoint_ejected" for event in events),
        refused=sum(event["event"] == "push_refused" for event in events),
        errors=[str(event) for event in events if event["level"] == "error"],
    )


def _log(sidecar: SidecarProcess) -> str:
    return (sidecar.folder / "access.log").read_text()


def _id(record: Record) -> str:
    """A POST tells it in a field, a GET in its path."""
    return str(record["x_request_id"] if record["method"] == "POST" else record["path"].rpartition("/")[2])


def _losses(record: Record) -> Iterator[Loss]:
    """Of several attempts each is told, of a single one its end is that of the request."""
    outcome = {
        "endpoint": record["upstream_host"],
        "ms": record["duration"],
        "outcome": record["response_code_details"],
    }
    after = 0.0
    for attempt in record["attempts"] or [outcome]:
        after += attempt["ms"] / 1000
        if attempt["outcome"] in {"reset", "closed"}:
            yield Loss(_id(record), attempt["endpoint"], after)


def _sum(metrics: str, series: str) -> int:
    """Of all series that begin like this."""
    return sum(round(float(line.rpartition(" ")[2])) for line in metrics.splitlines() if line.startswith(series))
