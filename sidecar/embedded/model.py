"""What the embedded registry knows: which client published which instances of which service. Pure.

As in Nacos 2.x and 3.x an ephemeral instance belongs to the client that published it and goes with it; a
client has one publication a service, and a second one replaces the first. What an operator edits (enabled,
weight, metadata) is kept apart from publications, so it survives a re-registration. Every call that changes
a list returns the names of the services concerned; pushing them is the caller's business.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

PUBLIC = "public"
DEFAULT_GROUP = "DEFAULT_GROUP"
DEFAULT_CLUSTER = "DEFAULT"


@dataclass(frozen=True, slots=True)
class ServiceName:
    """Full name of a service; namespace ids `""` and `public` are one namespace, as on the real server."""

    name: str
    group: str = DEFAULT_GROUP
    namespace: str = PUBLIC

    @classmethod
    def parse(cls, name: str, group: str = "", namespace: str = "") -> "ServiceName":
        """Takes `name` plain or as `group@@name`; the latter wins over `group`."""
        before, separator, after = name.partition("@@")
        if separator:
            name, group = after, before
        return cls(name, group or DEFAULT_GROUP, namespace or PUBLIC)

    @property
    def grouped(self) -> str:
        return f"{self.group}@@{self.name}"


@dataclass(frozen=True, slots=True)
class Instance:
    """One address of a service as its client described it; equal means equal in every field."""

    ip: str
    port: int
    weight: float = 1.0
    healthy: bool = True
    enabled: bool = True
    ephemeral: bool = True
    cluster: str = DEFAULT_CLUSTER
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Edit:
    """What an operator set on one address; None leaves the published value."""

    enabled: bool | None = None
    weight: float | None = None
    metadata: Mapping[str, str] | None = None

    def over(self, older: "Edit") -> "Edit":
        """This edit on top of an older one."""
        return Edit(
            enabled=older.enabled if self.enabled is None else self.enabled,
            weight=older.weight if self.weight is None else self.weight,
            metadata=older.metadata if self.metadata is None else self.metadata,
        )

    def applied(self, instance: Instance) -> Instance:
        return replace(
            instance,
            enabled=instance.enabled if self.enabled is None else self.enabled,
            weight=instance.weight if self.weight is None else self.weight,
            metadata=instance.metadata if self.metadata is None else self.metadata,
        )


Publications = Mapping[ServiceName, Mapping[str, tuple[Instance, ...]]]
"""Service → client id → the instances it published."""


class Catalogue:
    """All publications, edits and thresholds of one registry."""

    __slots__ = ("_edits", "_published", "_thresholds")

    def __init__(self) -> None:
        self._published: dict[ServiceName, dict[str, tuple[Instance, ...]]] = {}
        self._edits: dict[tuple[ServiceName, str, int], Edit] = {}
        self._thresholds: dict[ServiceName, float] = {}

    def __repr__(self) -> str:
        count = sum(len(self.instances(service)) for service in self._published)
        return f"<Catalogue {len(self._published)} services, {count} instances>"

    def publish(self, client: str, service: ServiceName, instances: Iterable[Instance]) -> set[ServiceName]:
        """Replaces what `client` said of `service`; no instances = withdrawn."""
        before, now = self._published.get(service, {}).get(client, ()), tuple(instances)
        if now:
            self._published.setdefault(service, {})[client] = now
        elif service in self._published:
            self._published[service].pop(client, None)
        return {service} if before != now else set()

    def withdraw_client(self, client: str) -> set[ServiceName]:
        """Forgets every publication of a client whose connection ended."""
        return {name for service in tuple(self._published) for name in self.publish(client, service, ())}

    def set_health(self, service: ServiceName, ip: str, port: int, *, healthy: bool) -> set[ServiceName]:
        """Flips the health bit of every publication of one address."""
        changed: set[ServiceName] = set()
        for client, instances in tuple(self._published.get(service, {}).items()):
            flipped = (replace(i, healthy=healthy) if (i.ip, i.port) == (ip, port) else i for i in instances)
            changed |= self.publish(client, service, flipped)
        return changed

    def edit(self, service: ServiceName, ip: str, port: int, edit: Edit) -> set[ServiceName]:
        """An operator's change of one address; stays until edited again."""
        key = (service, ip, port)
        before = self.instances(service)
        self._edits[key] = edit.over(self._edits.get(key, Edit()))
        return {service} if before != self.instances(service) else set()

    def set_threshold(self, service: ServiceName, threshold: float) -> None:
        """Sets protectThreshold. No list counts as changed: the real server does not push this."""
        self._thresholds[service] = threshold

    def threshold(self, service: ServiceName) -> float | None:
        """None: the service was never created or edited by an operator, so it has no threshold rule at all."""
        return self._thresholds.get(service)

    def instances(self, service: ServiceName) -> tuple[Instance, ...]:
        """All instances with edits applied, disabled ones included; equal ones once, duplicates of an address kept."""
        published = self._published.get(service, {}).values()
        edited = (self._edits.get((service, i.ip, i.port), Edit()).applied(i) for many in published for i in many)
        return tuple(dict.fromkeys(edited))

    def services(self, namespace: str = PUBLIC, group: str = "") -> list[str]:
        """Names that have a publication, sorted; an empty group means all."""
        return sorted(
            service.name
            for service, clients in self._published.items()
            if clients and service.namespace == namespace and group in {"", service.group}
        )

    def clients(self, service: ServiceName) -> Mapping[str, tuple[Instance, ...]]:
        """Client id → what it published of `service`."""
        return dict(self._published.get(service, {}))

    def forget_ephemeral(self) -> Publications:
        """What a restart loses: every ephemeral publication, returned so that a story can bring some back."""
        lost: dict[ServiceName, dict[str, tuple[Instance, ...]]] = {}
        for service, clients in self._published.items():
            for client, instances in tuple(clients.items()):
                if instances[0].ephemeral:
                    lost.setdefault(service, {})[client] = clients.pop(client)
        return lost
