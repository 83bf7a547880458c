"""Which tests show what: read from the marks that they carry, without running them."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def shown_by(mark: str, *folders: str) -> dict[Any, list[str]]:
    """What the marks of this name have for arguments → tests that carry it, as `folder/test_file.py::test_name`.

    The modules are imported, so that marks may be computed.
    """
    shown: dict[Any, list[str]] = {}
    for path in _modules(folders):
        module = importlib.import_module(".".join(path.with_suffix("").parts))
        for name, argument in _marked(module, mark):
            shown.setdefault(argument, []).append(f"{path.relative_to('tests')}::{name}")
    return shown


def _modules(folders: tuple[str, ...]) -> Iterator[Path]:
    for folder in folders:
        yield from sorted(path.relative_to(ROOT) for path in (ROOT / folder).rglob("test_*.py"))


def _marked(module: ModuleType, wanted: str) -> Iterator[tuple[str, Any]]:
    for name, value in vars(module).items():
        marks = getattr(value, "pytestmark", None)
        for mark in marks if isinstance(marks, list) else ():
            if mark.name == wanted:
                yield from ((name, argument) for argument in mark.args)
