"""Values without what the models refused, so that the rules over several keys can still be judged in the same run."""

import copy
from collections.abc import Iterable
from typing import Any

from sidecar.config.report import Loc


def repaired(values: Any, broken: Iterable[Loc]) -> Any:
    """A copy in which a broken key is left out, and a required one has a harmless stand-in."""
    fixed = copy.deepcopy(values) if isinstance(values, dict) else {}
    for loc in broken:
        _leave_out(fixed, loc)
    fixed["version"] = 1
    services = fixed.get("services")
    if isinstance(services, list):
        fixed["services"] = [_named(service, index) for index, service in enumerate(services)]
    return fixed


def _leave_out(values: dict[str, Any], loc: Loc) -> None:
    """Drops the innermost mapping's key on the way; a list is dropped whole, services apart."""
    holder: dict[str, Any] | None = None
    key = ""
    found: Any = values
    for step in loc:
        if isinstance(found, dict) and step in found:
            holder, key, found = found, str(step), found[step]
        elif isinstance(found, list) and isinstance(step, int) and step < len(found):
            found = found[step]
        elif isinstance(found, dict):
            return
        else:
            break
    if holder is not None and key != "services":
        del holder[key]


def _named(service: Any, index: int) -> dict[str, Any]:
    fixed: dict[str, Any] = service if isinstance(service, dict) else {}
    return fixed if fixed.get("name") else {**fixed, "name": f"unnamed-{index}"}
