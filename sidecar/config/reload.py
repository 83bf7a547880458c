"""What differs between two configurations in force: a pure comparison, by key; services are matched by name."""

import enum
from collections.abc import Iterator
from dataclasses import dataclass

from sidecar.config.model import Config
from sidecar.config.report import path_text
from sidecar.config.section import Section, shapes
from sidecar.config.service import Service


class Op(enum.Enum):
    """What happened to a key or a service."""

    ADD = "add"
    CHANGE = "change"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Change:
    """An object of `changes` in the answer of `/reload`; the path of a service has its name: `services[orders].retry`."""

    op: Op
    path: str


def compare(old: Config, new: Config) -> tuple[Change, ...]:
    """In the order of the format, services last; empty when nothing differs but text and order of services."""
    return (*_section(old, new, ()), *_services(old, new))


def _section(old: Section, new: Section, path: tuple[str, ...]) -> Iterator[Change]:
    for name in shapes(type(old)):
        before, after = getattr(old, name), getattr(new, name)
        if before == after or (not path and name in {"services", "defaults"}):
            continue
        here = (*path, name)
        if isinstance(before, Section) and isinstance(after, Section):
            yield from _section(before, after, here)
        else:
            yield Change(_op(before, after), path_text(here))


def _op(before: object, after: object) -> Op:
    """A whole section that comes or goes; all else changes."""
    if before is None and isinstance(after, Section):
        return Op.ADD
    return Op.DROP if after is None and isinstance(before, Section) else Op.CHANGE


def _services(old: Config, new: Config) -> Iterator[Change]:
    before, after = _by_name(old), _by_name(new)
    for name, service in before.items():
        if name not in after:
            yield Change(Op.DROP, f"services[{name}]")
        else:
            yield from _section(service, after[name], (f"services[{name}]",))
    yield from (Change(Op.ADD, f"services[{name}]") for name in after if name not in before)


def _by_name(config: Config) -> dict[str, Service]:
    return {service.name: service for service in config.services}
