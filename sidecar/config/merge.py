"""A file as it was written becomes the one in force: defaults go into every service, derived values are filled in.

Merging is by key, the service's own winning; lists and single values replace. What a default cannot mean for a
service is ignored there: a static list has no group.
"""

from typing import Any

from sidecar.cluster.policy import Protocol
from sidecar.config.kinds import is_host
from sidecar.config.model import Config
from sidecar.config.section import Section
from sidecar.config.service import Discovery, Service, ServiceDefaults

_TCP_IDLE = 3600.0


def in_force(written: Config) -> Config:
    """Every service complete by itself; `defaults` empty, since they have had their effect."""
    services = tuple(_complete(_service(written.defaults, service)) for service in written.services)
    return written.model_copy(update={"services": services, "defaults": ServiceDefaults()})


def _service(defaults: ServiceDefaults, own: Service) -> Service:
    changes = _changes(defaults, own)
    if own.discovery.static is not None:
        changes.pop("discovery", None)
    return own.model_copy(update=changes) if changes else own


def _changes(base: Section, own: Section) -> dict[str, Any]:
    """The fields of `own` that `base` alters."""
    changes: dict[str, Any] = {}
    for name in base.model_fields_set:
        theirs, mine = getattr(base, name), getattr(own, name)
        if isinstance(theirs, Section) and isinstance(mine, Section):
            if inner := _changes(theirs, mine):
                changes[name] = mine.model_copy(update=inner)
        elif name not in own.model_fields_set:
            changes[name] = theirs
        elif isinstance(theirs, dict) and isinstance(mine, dict):
            changes[name] = theirs | mine
    return changes


def _complete(service: Service) -> Service:
    """Fills in what depends on other keys of the same service."""
    changes: dict[str, Any] = {}
    discovery = service.discovery
    if discovery.static is None and not discovery.service:
        discovery = discovery.model_copy(update={"service": service.name})
        changes["discovery"] = discovery
    if service.hosts is None:
        changes["hosts"] = _hosts(service, discovery)
    if service.protocol is Protocol.TCP and "idle" not in service.timeouts.model_fields_set:
        changes["timeouts"] = service.timeouts.model_copy(update={"idle": _TCP_IDLE})
    return service.model_copy(update=changes)


def _hosts(service: Service, discovery: Discovery) -> tuple[str, ...]:
    """Its name and its registry name, where that can be a host at all (Dubbo's cannot)."""
    if service.protocol is Protocol.TCP:
        return ()
    names = (service.name, discovery.service)
    return tuple({name.lower(): name for name in reversed(names) if is_host(name)}.values())[::-1]
