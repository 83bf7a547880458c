"""Where a test is to be found: `sidecar/a/b.py` has `tests/unit/a/test_b.py`, or the same under `tests/integration`."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("unit", "integration")


def modules() -> set[Path]:
    """Every module of the package without its suffix; `__init__` and `__main__` hold nothing of their own."""
    code = ROOT / "sidecar"
    return {path.relative_to(code).with_suffix("") for path in code.rglob("*.py") if not path.name.startswith("__")}


def mirrored() -> set[Path]:
    """The modules that the test files claim to test."""
    return {
        path.relative_to(ROOT / "tests" / kind).with_name(path.stem.removeprefix("test_"))
        for kind in KINDS
        for path in (ROOT / "tests" / kind).rglob("test_*.py")
        if path != Path(__file__).resolve()
    }


def test_every_module_has_a_test_file() -> None:
    """A module without a mirror in either tree is untested, or tested where nobody looks."""
    assert not sorted(map(str, modules() - mirrored()))


def test_no_test_file_is_an_orphan() -> None:
    """A mirror of nothing outlived its module; tests of the whole belong under `tests/e2e`."""
    assert not sorted(map(str, mirrored() - modules()))


def test_every_folder_of_tests_is_a_package() -> None:
    """Two test files may then share a name, as the modules they mirror do."""
    folders = {path.parent for path in (ROOT / "tests").rglob("test_*.py")}
    assert not sorted(str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").exists())
