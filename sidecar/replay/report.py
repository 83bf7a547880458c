"""What a replay has found, for people and for programs."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sidecar.admin.views import stamp
from sidecar.replay.compare import Difference
from sidecar.replay.decision import BY_ANSWERS, Decision
from sidecar.replay.judge import Replayed
from sidecar.replay.run import Assumption
from sidecar.replay.saved import Timeline

NAMED = 4
"""Addresses that a line names; how many there are besides stands behind them."""


@dataclass(frozen=True, slots=True)
class Report:
    """All services of both the timeline and the configuration; `left_out` says why others are not here."""

    timeline: Timeline
    file: str
    config: str
    services: Sequence[Replayed]
    left_out: Sequence[str]

    @property
    def recorded(self) -> int:
        """Decisions that were compared."""
        return sum(one.comparison.recorded for one in self.services)

    @property
    def same(self) -> int:
        """Those that this configuration takes too."""
        return sum(one.comparison.same for one in self.services)

    @property
    def differences(self) -> list[tuple[str, Difference]]:
        """With their services, in order of time."""
        found = ((one.story.service, difference) for one in self.services for difference in one.comparison.differences)
        return sorted(found, key=lambda pair: (pair[1].at, pair[0]))

    def notes(self) -> list[str]:
        """What a reader has to know to judge it."""
        return [
            *_of_the_file(self.timeline),
            *self.left_out,
            *(note for one in self.services for note in self._of(one)),
        ]

    @property
    def span(self) -> tuple[str, str]:
        """When the first and the last event happened."""
        return stamp(self.timeline.entries[0].wall), stamp(self.timeline.entries[-1].wall)

    def at(self, mono: float) -> str:
        """A time of the recording."""
        return stamp(self.timeline.wall(mono))

    def clock(self, mono: float) -> str:
        """The same, without its day where there is only one."""
        first, last = self.span
        return self.at(mono)[11:-1] if first[:10] == last[:10] else self.at(mono)

    def _of(self, one: Replayed) -> Iterator[str]:
        story, service = one.story, one.story.service
        if story.begins > self.timeline.entries[0].mono:
            lost = "were cut" if story.cut_short else "are not in the file"
            yield f"{service}: starts from the list of {self.clock(story.begins)}; earlier ones {lost}"
        if story.crowded:
            kinds = ", ".join(sorted({kind for _, kind in story.crowded}))
            yield f"{service}: more happened in a minute than a timeline keeps, what rests on it is unknown: {kinds}"
        if one.left_out:
            yield f"{service}: {one.left_out} recorded decisions rest on what is not in the file and are left out"
        for answer, group in _by_answer(sorted(one.outcome.assumptions, key=lambda each: (each.at, each.address))):
            named = _named([f"{each.address} from {self.clock(each.at)}" for each in group])
            yield f"{service}: assumed to {answer} where the recording does not tell: {named}"


def text(report: Report) -> str:
    """Header, notes, a line a difference, and a sum."""
    first, last = report.span
    lines = [f"{report.file}: {len(report.timeline.entries)} events, {first} to {last}; replayed under {report.config}"]
    lines += [f"note: {note}" for note in report.notes()]
    lines += [f"{report.clock(one.at)} {service}: {_line(report, one)}" for service, one in report.differences]
    lines.append(_sum(report))
    return "".join(f"{line}\n" for line in lines)


def as_json(report: Report) -> str:
    """The same as an object."""
    first, last = report.span
    document = {
        "from": first,
        "to": last,
        "events": len(report.timeline.entries),
        "recorded": report.recorded,
        "same": report.same,
        "differences": [
            {
                "at": report.at(one.at),
                "service": service,
                "recorded": [_decision(report, each) for each in one.recorded],
                "now": [_decision(report, each) for each in one.now],
                "later_s": None if one.later is None else round(one.later, 3),
            }
            for service, one in report.differences
        ],
        "notes": report.notes(),
    }
    return f"{json.dumps(document, ensure_ascii=False)}\n"


def _decision(report: Report, one: Decision) -> dict[str, Any]:
    return {
        "at": report.at(one.at),
        "kind": one.kind,
        "endpoint": one.endpoint,
        "detail": dict(one.facts),
    }


def _line(report: Report, difference: Difference) -> str:
    if difference.later is not None:
        direction = "later" if difference.later > 0 else "earlier"
        was, now = (report.clock(side[0].at) for side in (difference.recorded, difference.now))
        told = _told(difference.now)
        return f"{told}: recorded at {was}, now at {now} ({abs(difference.later):.1f}s {direction})"
    return f"recorded {_told(difference.recorded)}; now {_told(difference.now)}"


def _told(decisions: Iterable[Decision]) -> str:
    """`hold_ended by=restored 10.0.0.1:80 10.0.0.2:80, ghost 10.0.0.1:80`: one phrase for all that is alike."""
    phrases: dict[str, list[str]] = {}
    for one in sorted(decisions, key=lambda one: one.endpoint is not None):
        facts = [f"{name}={value}" for name, value in one.facts if value not in {None, 0}]
        phrase = " ".join([one.kind, *facts])
        phrases.setdefault(phrase, []).extend([one.endpoint] if one.endpoint else [])
    return (
        ", ".join(f"{phrase} {_named(sorted(addresses))}".rstrip() for phrase, addresses in phrases.items())
        or "nothing"
    )


def _named(items: Sequence[str]) -> str:
    more = len(items) - NAMED
    return " ".join(items) if more <= 0 else f"{' '.join(items[:NAMED])} and {more} more"


def _sum(report: Report) -> str:
    count = len(report.differences)
    if not count:
        return f"no difference: all {report.recorded} decisions are the same"
    return f"{count} difference{'s' if count > 1 else ''}: {report.same} of {report.recorded} recorded decisions are the same"


def _of_the_file(timeline: Timeline) -> Iterator[str]:
    first = timeline.entries[0]
    if not timeline.whole:
        yield (
            f"the beginning is not in the file, it starts with event {first.seq}: "
            "what was held or quarantined before that is unknown"
        )
    if timeline.missing:
        yield f"{timeline.missing} events in between are missing: save it without ?service= and ?kind="
    for entry in timeline.entries:
        if entry.kind == "reload_applied" and entry.detail.get("changes"):
            yield (
                f"the configuration was reloaded at {stamp(entry.wall)}: "
                "what was recorded after that was decided under another one than before"
            )
    by_answers = Counter(entry.kind for entry in timeline.entries if entry.kind in BY_ANSWERS)
    if by_answers:
        told = ", ".join(f"{count} {kind}" for kind, count in sorted(by_answers.items()))
        yield f"not compared, since it depends on calls, and calls are not in a timeline: {told}"


def _by_answer(assumptions: Iterable[Assumption]) -> Iterator[tuple[str, list[Assumption]]]:
    groups: dict[str, list[Assumption]] = {}
    for one in assumptions:
        groups.setdefault("answer" if one.answer.failure is None else "refuse", []).append(one)
    yield from groups.items()
