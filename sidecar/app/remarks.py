"""What an operator should know about the lists of a service, said once on the event log.

Why: a name that is written wrong is no error anywhere. The registry answers an empty list, as it does for a service
that is to come, and after some seconds the sidecar is ready and has nobody to call.
"""

import logging

from sidecar.cluster.cluster import Cluster
from sidecar.cluster.instance import Origin

_log = logging.getLogger("sidecar")


class Remarks:
    """Remembers what was said of which service; made anew with the source whose lists it is about."""

    __slots__ = ("_unlisted", "_unreadable")

    def __init__(self) -> None:
        self._unlisted: set[str] = set()
        self._unreadable: dict[str, str] = {}

    def look(self, cluster: Cluster) -> None:
        """Warns when the registry has been believed to have nobody, and never had anybody. Cheap to call often."""
        if cluster.ever_listed or not cluster.has_list or cluster.origin is not Origin.NACOS:
            return
        if cluster.name not in self._unlisted:
            self._unlisted.add(cluster.name)
            _log.warning("%s: %s", cluster.name, _never_listed(cluster))

    def unreadable(self, service: str, error: str) -> None:
        """A list of it could not be read; said once for each reason, until one can be."""
        if self._unreadable.get(service) != error:
            self._unreadable[service] = error
            _log.warning("%s: a list that cannot be read leaves the one before in force: %s", service, error)

    def readable(self, service: str) -> None:
        """A list of it could be read."""
        self._unreadable.pop(service, None)


def _never_listed(cluster: Cluster) -> str:
    discovery = cluster.policy.discovery
    if cluster.offered:
        return f"none of the {cluster.offered} instances listed passes discovery.clusters and discovery.metadata"
    return (
        f"no instance has ever been listed of service {discovery.service or cluster.name} in group {discovery.group}: "
        "check discovery.service, discovery.group and nacos.namespace, and whether its providers run"
    )
