"""YAML in, frozen policies out. Everything that is wrong is found in one pass, with its place.

- `source`    text to values and positions; `interpolation` puts variables in
- `model`     the whole surface, with `service` for one upstream; `section`, `kinds`, `units`, `address` its types
- `explain`   what the models refuse, in sentences; `rules` what several keys get wrong together; `support` what
              this version lacks; `report` and `locate` make lines of it
- `environment` variables and flags over the file; `merge` defaults into services; `loading` the whole way
- `policies`, `reload`, `effective`, `schema`, `check` what is made of a configuration

The names below load on first use: commands that need only a duration or an address stay quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sidecar.config.report import ConfigError, FlagError, Problem

if TYPE_CHECKING:
    from sidecar.config.loading import Loaded, fingerprint, load
    from sidecar.config.model import Config
    from sidecar.config.service import Service

__all__ = ["Config", "ConfigError", "FlagError", "Loaded", "Problem", "Service", "fingerprint", "load"]

_HOMES = {"Loaded": "loading", "fingerprint": "loading", "load": "loading", "Config": "model", "Service": "service"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
