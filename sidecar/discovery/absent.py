"""Hollow stand-ins for packages that the registry client imports but naming never calls.

Why: importing the client pulls in key management, agents, process statistics and a web framework; with stand-ins it
costs a third of the time and of the memory, and a broken one of those packages cannot keep us from starting.
The stand-ins exist only during the import: afterwards the modules are out of `sys.modules` again, so that whoever
really needs such a package gets the real one. A package that is already loaded is left alone.
"""

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from types import ModuleType
from typing import Any

UNUSED = frozenset({"Crypto", "Tea", "a2a", "aiohttp", "darabonba", "psutil", "v2.nacos.ai", "v2.nacos.config"})
UNUSED_FAMILY = "alibabacloud_"


class Hollow(ModuleType):
    """A module in which every public name is an empty class that pydantic accepts as a field's type."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        made = type(name, (), {"__get_pydantic_core_schema__": classmethod(_any_schema)})
        setattr(self, name, made)
        return made


class Absent(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the unused packages, and gives hollow modules for them."""

    def __init__(self) -> None:
        self.given: list[str] = []

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """A spec of ours for an unused package, None for everything else."""
        del path, target
        parts = fullname.split(".")
        if fullname.startswith(UNUSED_FAMILY) or not UNUSED.isdisjoint(accumulate(parts, "{}.{}".format)):
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> Hollow:
        """An empty module; remembers that it was asked for."""
        self.given.append(spec.name)
        return Hollow(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run."""


@contextmanager
def absent() -> Iterator[Absent]:
    """While it is open, imports of unused packages succeed without them."""
    finder = Absent()
    sys.meta_path.insert(0, finder)
    try:
        yield finder
    finally:
        sys.meta_path.remove(finder)
        for name in finder.given:
            sys.modules.pop(name, None)


def _any_schema(_cls: type, _source: Any, _handler: Any) -> dict[str, str]:
    return {"type": "any"}
