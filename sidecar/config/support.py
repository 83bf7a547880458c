"""What the format knows and this version does not do yet. The table shrinks as things get built.

A key at its default always passes, written out or not: its default is what happens anyway.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from sidecar import __version__
from sidecar.config.model import Config, Nacos
from sidecar.config.report import Finding, Loc
from sidecar.config.section import Section, shapes, shown
from sidecar.config.service import Service

_TOP: Final = ("unmatched", "address_memory", "transparent", "facade")
_NACOS: Final = (
    "transport",
    "poll_interval",
)
_SERVICE: Final = ("protocol", "tls")

NOT_BUILT: Final[Mapping[type[Section], tuple[str, ...]]] = MappingProxyType(
    {Config: _TOP, Nacos: _NACOS, Service: _SERVICE}
)
"""By section, the keys that must stay at their default."""

BUILT_VALUES: Final[Mapping[tuple[type[Section], str], tuple[Any, ...]]] = MappingProxyType(
    {(Nacos, "transport"): ("grpc",)}
)
"""Values besides the default that such a key may have all the same."""


def unsupported(config: Config) -> Iterator[Finding]:
    """A finding for every key that asks for what is not built."""
    yield from _section(config, ())
    yield from _section(config.nacos, ("nacos",))
    for index, service in enumerate(config.services):
        yield from _section(service, ("services", index))


def _section(section: Section, loc: Loc) -> Iterator[Finding]:
    of = type(section)
    for key in NOT_BUILT[of]:
        value, default = getattr(section, key), of.model_fields[key].default
        if value != default and value not in BUILT_VALUES.get((of, key), ()):
            remedy = shown(shapes(of)[key], default)
            yield Finding(
                (*loc, key), f"not supported in {__version__}: leave it at {'null' if remedy is None else remedy}"
            )
