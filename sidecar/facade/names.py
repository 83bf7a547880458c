"""Full names of services, as requests to a registry spell them in several ways. Pure."""

from typing import NamedTuple

PUBLIC = "public"
DEFAULT_GROUP = "DEFAULT_GROUP"


class Named(NamedTuple):
    """One service of the registry; the namespace ids `""` and `public` mean the same one."""

    namespace: str
    group: str
    name: str

    @classmethod
    def of(cls, name: str, group: str | None = None, namespace: str | None = None) -> "Named":
        """`name` is plain or `group@@name`; the latter wins over `group`."""
        before, separator, after = name.partition("@@")
        if separator:
            group, name = before, after
        return cls(namespace or PUBLIC, group or DEFAULT_GROUP, name)

    @property
    def grouped(self) -> str:
        """`group@@name`."""
        return f"{self.group}@@{self.name}"


def listed(clusters: object) -> frozenset[str]:
    """The names in a comma list of Nacos clusters; none = every one."""
    return frozenset(filter(None, clusters.split(","))) if isinstance(clusters, str) else frozenset()


def address_of(ip: str, port: object) -> str:
    """As endpoints are called: IPv6 in brackets."""
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
