"""`replay FILE -c FILE`: from two files to a verdict; the command line only prints it and exits."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from sidecar.app.settings import own_addresses
from sidecar.cluster.policy import ServicePolicy
from sidecar.config import ConfigError, load
from sidecar.config.policies import service_policy
from sidecar.config.report import as_text
from sidecar.exits import Exit
from sidecar.replay import report
from sidecar.replay.compare import TOLERANCE
from sidecar.replay.judge import judge
from sidecar.replay.report import Report
from sidecar.replay.saved import REMEDY, NotATimelineError, Timeline, parse
from sidecar.replay.story import services, story


class Verdict(NamedTuple):
    """Text for stdout and for stderr, and the exit code."""

    out: str
    err: str
    code: Exit


def replay(
    file: Path,
    config: Path | None,
    *,
    environ: Mapping[str, str],
    format: Literal["text", "json"] = "text",  # noqa: A002 - the flag's name
) -> Verdict:
    """Replays the timeline in `file` under another configuration; raises `FlagError` on bad usage."""
    try:
        loaded = load(config, environ=environ)
    except ConfigError as error:
        return Verdict("", as_text(error.problems), Exit.CONFIG)
    try:
        timeline = parse(file.read_text(encoding="utf-8-sig"))
        policies = {one.name: service_policy(one) for one in loaded.config.services}
        found = _replayed(timeline, str(file), str(loaded.path), policies, own_addresses(loaded.config))
    except OSError as error:
        return Verdict("", f"{file}: cannot be read: {error.strerror}\n", Exit.USAGE)
    except UnicodeDecodeError:
        return Verdict("", f"{file}: not UTF-8\n{REMEDY}\n", Exit.USAGE)
    except NotATimelineError as error:
        return Verdict("", f"{file}{error.place}: {error}\n{REMEDY}\n", Exit.USAGE)
    warnings = "".join(f"{problem}\n" for problem in loaded.problems)
    return Verdict(report.as_json(found) if format == "json" else report.text(found), warnings, Exit.OK)


def _replayed(
    timeline: Timeline, file: str, config: str, policies: Mapping[str, ServicePolicy], own: frozenset[str]
) -> Report:
    told = {name: story(timeline, name) for name in services(timeline)}
    known = [(one, policies[name]) for name, one in told.items() if one is not None and name in policies]
    if not known:
        raise NotATimelineError("no list of a service of the configuration is in it that could be replayed")
    left_out = [
        _why_not(name, configured=name in policies) for name, one in told.items() if one is None or name not in policies
    ]
    late = max((entry.fact("lag_s", int, float) for entry in timeline.entries if entry.kind == "loop_lag"), default=0.0)
    judged = [judge(one, policy, own_addresses=own, tolerance=TOLERANCE + late) for one, policy in known]
    return Report(timeline, file, config, judged, left_out)


def _why_not(service: str, *, configured: bool) -> str:
    why = "no whole list of it that was believed is in the file" if configured else "not in this configuration"
    return f"{service}: left out: {why}"
