"""What the format knows and this version does not do yet. The table shrinks as things get built.

A key at its default always passes, written out or not: its default is what happens anyway.
"""

from collections.abc import Iterator
from typing import Final

from sidecar import __version__
from sidecar.config.model import Config
from sidecar.config.report import Finding
from sidecar.config.section import shapes, shown

NOT_BUILT: Final = ("facade",)
"""Keys at the top that must stay at their default."""


def unsupported(config: Config) -> Iterator[Finding]:
    """A finding for every key that asks for what is not built."""
    for key in NOT_BUILT:
        value, default = getattr(config, key), Config.model_fields[key].default
        if value != default:
            remedy = shown(shapes(Config)[key], default)
            yield Finding((key,), f"not supported in {__version__}: leave it at {'null' if remedy is None else remedy}")
