"""Values without what the models refused, so that the rules over several keys can still be judged in the same run."""

import copy
from collections.abc import Iterable
from typing import Any

from sidecar.config.report import Loc


def repaired(values: Any, broken: Iterable[Loc]) -> tuple[Any, set[Loc]]:
    """A copy in which broken keys are left out and required ones have a harmless stand-in; and what was left out."""
    fixed = copy.deepcopy(values) if isinstance(values, dict) else {}
    dropped = {_leave_out(fixed, loc) for loc in broken}
    fixed["version"] = 1
    services = fixed.get("services")
    if isinstance(services, list):
        fixed["services"] = [_named(service, index) for index, service in enumerate(services)]
    return fixed, dropped


def _leave_out(values: dict[str, Any], loc: Loc) -> Loc:
    """Drops the innermost mapping's key on the way, so a list goes whole; services stay, and a missing key is itself."""
    innermost: Loc = ()
    holder: dict[str, Any] = {}
    found: Any = values
    for depth, step in enumerate(loc, start=1):
        if isinstance(found, dict):
            if step not in found:
                return loc
            holder, innermost, found = found, loc[:depth], found[step]
        elif isinstance(found, list) and isinstance(step, int) and step < len(found):
            found = found[step]
        else:
            break
    if innermost in {(), ("services",)}:
        return loc
    del holder[str(innermost[-1])]
    return innermost


def _named(service: Any, index: int) -> dict[str, Any]:
    fixed: dict[str, Any] = service if isinstance(service, dict) else {}
    return fixed if fixed.get("name") else {**fixed, "name": f"unnamed-{index}"}
