"""What the format knows and this version does not do yet. The table shrinks as things get built.

A key at its default always passes, written out or not: its default is what happens anyway.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from sidecar import __version__
from sidecar.config.model import Config
from sidecar.config.report import Finding, Loc
from sidecar.config.section import Section, shapes, shown
from sidecar.config.service import Service

_TOP: Final = ("unmatched", "address_memory", "transparent", "facade")
_SERVICE: Final = ("tls",)

NOT_BUILT: Final[Mapping[type[Section], tuple[str, ...]]] = MappingProxyType({Config: _TOP, Service: _SERVICE})
"""By section, the keys that must stay at their default."""


def unsupported(config: Config) -> Iterator[Finding]:
    """A finding for every key that asks for what is not built."""
    yield from _section(config, ())
    for index, service in enumerate(config.services):
        yield from _section(service, ("services", index))


def _section(section: Section, loc: Loc) -> Iterator[Finding]:
    of = type(section)
    for key in NOT_BUILT[of]:
        value, default = getattr(section, key), of.model_fields[key].default
        if value != default:
            remedy = shown(shapes(of)[key], default)
            yield Finding(
                (*loc, key), f"not supported in {__version__}: leave it at {'null' if remedy is None else remedy}"
            )
