"""The configuration in force written as YAML again: every default, override and merge applied, secrets as `***`."""

from typing import Any

import yaml

from sidecar.config.model import Config
from sidecar.config.rules import HTTP_ONLY
from sidecar.config.section import Shape, shown


def effective(config: Config) -> dict[str, Any]:
    """Plain values, in the order of the format; `/config_dump` shows them as JSON."""
    values: dict[str, Any] = shown(Shape(section=Config), config)
    values["defaults"] = {}
    for service in values["services"]:
        _only_one_source(service)
        _only_of_its_protocol(service)
    return values


def effective_yaml(config: Config) -> str:
    """A file that loads as this configuration, but for its secrets."""
    return yaml.safe_dump(effective(config), sort_keys=False, allow_unicode=True, width=120)


def _only_one_source(service: dict[str, Any]) -> None:
    """`static` excludes the registry's keys, so that only one of both is written."""
    discovery = service["discovery"]
    static = discovery.pop("static")
    if static is not None:
        service["discovery"] = {"static": static}


def _only_of_its_protocol(service: dict[str, Any]) -> None:
    """What means nothing to a tcp service may come from the defaults, but not be written on it."""
    if service["protocol"] == "tcp":
        for *path, key in HTTP_ONLY:
            section = service
            for step in path:
                section = section[step]
            del section[key]
