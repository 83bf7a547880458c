"""A list as it counts: filtered, one entry an address, health bits heeded or not; and what tells two apart."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sidecar.cluster.instance import Instance, Push, Statement
from sidecar.cluster.policy import Discovery

NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One list after the filters: `{address: instance}` in order of arrival.

    `shunned` are the addresses that the registry calls unhealthy and that are left out for it.
    """

    instances: Mapping[str, Instance]
    shunned: frozenset[str] = NOBODY

    def listed(self) -> frozenset[str]:
        """Every address."""
        return frozenset(self.instances)

    def off(self) -> frozenset[str]:
        """Those that are switched off."""
        return frozenset(address for address, one in self.instances.items() if not is_on(one))

    def offered(self) -> frozenset[str]:
        """Addresses that this list gives us for use: not switched off, not shunned."""
        return self.listed() - self.off() - self.shunned


EMPTY = Snapshot({})


@dataclass(frozen=True, slots=True)
class Difference:
    """What a newer list changes, as addresses; `changed` ones have another weight, health, cluster or metadata."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


def is_on(instance: Instance) -> bool:
    """Whether the operator of the provider lets it take requests: enabled and of some weight."""
    return instance.enabled and instance.weight > 0


def read(found: Push | Statement, discovery: Discovery) -> Snapshot:
    """What of a list concerns us: filters first, then one entry an address, then the health bits."""
    listed = _ours(found, discovery)
    instances = {one.address: one for one in listed}
    if len(instances) < len(listed):
        instances = _one_each(listed)
    return Snapshot(instances, _shunned(instances, discovery, protect=found.protect))


def switched_off(statement: Statement, discovery: Discovery) -> frozenset[str]:
    """Addresses of ours that a list for administrators shows, and nowhere on it switched on."""
    ours = _ours(statement, discovery)
    return frozenset(one.address for one in ours) - {one.address for one in ours if is_on(one)}


def difference(old: Snapshot, new: Snapshot) -> Difference:
    """What `new` changes; a change of `shunned` alone is a change of those addresses."""
    before, after = old.instances, new.instances
    turned = old.shunned ^ new.shunned
    return Difference(
        added=tuple(address for address in after if address not in before),
        removed=tuple(address for address in before if address not in after),
        changed=tuple(
            address
            for address, instance in after.items()
            if (known := before.get(address)) is not None
            and ((known is not instance and known != instance) or address in turned)
        ),
    )


def _one_each(listed: Iterable[Instance]) -> dict[str, Instance]:
    """The healthy entry of an address, else its first."""
    instances: dict[str, Instance] = {}
    for one in listed:
        known = instances.setdefault(one.address, one)
        if one.healthy and not known.healthy:
            instances[one.address] = one
    return instances


def _ours(found: Push | Statement, discovery: Discovery) -> tuple[Instance, ...]:
    if not discovery.clusters and not discovery.metadata:
        return found.instances
    return tuple(one for one in found.instances if _belongs(one, discovery))


def _belongs(instance: Instance, discovery: Discovery) -> bool:
    if discovery.clusters and instance.cluster not in discovery.clusters:
        return False
    return all(instance.metadata.get(key) == value for key, value in discovery.metadata.items())


def _shunned(instances: Mapping[str, Instance], discovery: Discovery, *, protect: bool | None) -> frozenset[str]:
    """Whom the health bits leave out: nobody when they would leave nobody, or when the registry says they lie."""
    if protect or not discovery.healthy_only:
        return NOBODY
    sick = frozenset(address for address, one in instances.items() if not one.healthy)
    if not sick or not any(is_on(one) and address not in sick for address, one in instances.items()):
        return NOBODY
    return sick
