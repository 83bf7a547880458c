"""Which instances of a service a request asks for. Pure."""

from dataclasses import dataclass

from sidecar.cluster.instance import Instance


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request asks for: of these Nacos clusters (none = all), and perhaps only healthy ones."""

    clusters: frozenset[str] = frozenset()
    healthy_only: bool = False

    def takes(self, instance: Instance) -> bool:
        """Whether a registry would list it in its answer."""
        return (
            instance.enabled
            and instance.weight > 0
            and (not self.clusters or instance.cluster in self.clusters)
            and (instance.healthy or not self.healthy_only)
        )
