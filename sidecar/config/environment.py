"""Variables and flags that override keys of the file, and the few settings that have no key.

Precedence: flag, variable, file, default. An empty variable counts as unset.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from sidecar.config.locate import Origin
from sidecar.config.report import FlagError, Level, Loc, Problem, did_you_mean
from sidecar.durations import duration

FILE_VARIABLE: Final = "SIDECAR_CONFIG"

VARIABLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "SIDECAR_LOG_LEVEL": "logging.level",
        "SIDECAR_LOG_FORMAT": "logging.format",
        "SIDECAR_ADMIN_LISTEN": "admin.listen",
        "SIDECAR_PREFER_CLUSTER": "defaults.load_balancing.prefer_cluster",
        "NACOS_SERVER_ADDR": "nacos.server_addresses",
        "NACOS_NAMESPACE": "nacos.namespace",
        "NACOS_USERNAME": "nacos.username",
        "NACOS_PASSWORD": "nacos.password",
        "NACOS_PASSWORD_FILE": "nacos.password_file",
        "NACOS_ACCESS_KEY": "nacos.access_key",
        "NACOS_SECRET_KEY": "nacos.secret_key",
    }
)
"""Each variable and the key that it overrides."""

FLAGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "logging.level": "--log-level",
        "logging.format": "--log-format",
        "admin.listen": "--admin-listen",
        "loop": "--loop",
        "reload_poll": "--reload-poll",
    }
)
"""The keys that `overrides` of `load` may name, with the flag that messages call them by."""

_SETTINGS: Final = {"loop": "SIDECAR_LOOP", "reload_poll": "SIDECAR_RELOAD_POLL"}
_LOOPS: Final = ("auto", "uvloop", "asyncio")

_SERVICE_LINK: Final = re.compile(r"SIDECAR_(.*_)?(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_.*)?)")
"""What Kubernetes sets for a Service whose name begins with `sidecar`."""


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What `run` may be told, but not by the file; `reload_poll` 0 = no polling."""

    loop: str = "auto"
    reload_poll: float = 3.0


@dataclass(frozen=True, slots=True)
class Override:
    """A key that does not come from the file; an object of `overrides` in `/config_dump`."""

    key: str
    origin: Origin

    @property
    def loc(self) -> Loc:
        """The key's place."""
        return tuple(self.key.split("."))


def overridden(environ: Mapping[str, str], flags: Mapping[str, str]) -> dict[Override, str]:
    """The keys of the file that variables and flags override, with their text."""
    texts = {key: (environ[name], Origin("env", name)) for name, key in VARIABLES.items() if environ.get(name)}
    texts |= {key: (text, Origin("flag", FLAGS[key])) for key, text in flags.items() if key not in _SETTINGS}
    return {Override(key, origin): text for key, (text, origin) in texts.items()}


def applied(values: Any, overrides: Mapping[Override, str]) -> Any:
    """The values of the file with every override in its place; the given ones stay as they are."""
    for override, text in overrides.items():
        values = _put(values, override.loc, text)
    return values


def _put(values: Any, loc: Loc, text: str) -> Any:
    if not loc:
        return text
    if values is not None and not isinstance(values, dict):
        return values
    known = values or {}
    return {**known, loc[0]: _put(known.get(loc[0]), loc[1:], text)}


def run_settings(environ: Mapping[str, str], flags: Mapping[str, str]) -> tuple[RunSettings, tuple[Problem, ...]]:
    """The settings, and what is wrong with their variables; a bad flag raises `FlagError`."""
    found: dict[str, Any] = {}
    problems = []
    for key, variable in _SETTINGS.items():
        text = flags.get(key) or environ.get(variable)
        if not text:
            continue
        try:
            found[key] = _setting(key, text)
        except ValueError as error:
            message = f"expected {error}, got {text!r}"
            if key in flags:
                raise FlagError(f"{FLAGS[key]}: {message}") from error
            problems.append(Problem(f"env:{variable}", None, None, key, Level.ERROR, message))
    return RunSettings(**found), tuple(problems)


def _setting(key: str, text: str) -> str | float:
    if key == "reload_poll":
        return duration(text, zero=True)
    if text not in _LOOPS:
        raise ValueError("auto, uvloop or asyncio")
    return text


def unknown_variables(environ: Mapping[str, str]) -> Iterator[Problem]:
    """A warning for each `SIDECAR_*` that nothing reads."""
    known = {name for name in (FILE_VARIABLE, *VARIABLES, *_SETTINGS.values()) if name.startswith("SIDECAR_")}
    for name in sorted(environ):
        if environ[name] and name.startswith("SIDECAR_") and name not in known and not _SERVICE_LINK.fullmatch(name):
            message = f"unknown variable{did_you_mean(name, known, likeness=0.8)}"
            yield Problem(f"env:{name}", None, None, "", Level.WARNING, message)
