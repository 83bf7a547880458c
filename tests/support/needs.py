"""Tests that need a tool of the machine: skipped with the reason where it is missing, failed where nothing may be.

A test says `@pytest.mark.needs("java", "mvn")`; a fixture calls `require("promtool")`. With
`TESTS_REQUIRE_ALL=1` in the environment a missing tool is a failure, so that a complete run cannot pass by skipping.
"""

import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

import pytest

# Where Python keeps the tools of this environment, and Debian those of an administrator, whatever PATH says.
_FOLDERS = (str(Path(sys.executable).parent), "/usr/local/sbin", "/usr/sbin", "/sbin")


def find(tool: str) -> str | None:
    """The path of an executable."""
    return shutil.which(tool, path=os.pathsep.join((os.environ.get("PATH", os.defpath), *_FOLDERS)))


LINUX, CPYTHON_3_11 = "Linux", "CPython 3.11"
"""What a test may need beside executables: the kernel's services, and the version whose bytecodes were counted."""


def _has(tool: str) -> bool:
    facts = {
        "root": os.geteuid() == 0,
        LINUX: sys.platform == "linux",
        CPYTHON_3_11: sys.implementation.name == "cpython" and sys.version_info[:2] == (3, 11),
    }
    return facts[tool] if tool in facts else find(tool) is not None


def lacking(*tools: str) -> str:
    """The tools that are missing, or nothing; `root` stands for the rights of that user."""
    return ", ".join(tool for tool in tools if not _has(tool))


def require(*tools: str) -> None:
    """Ends the test here when one of the tools is missing."""
    if lacked := lacking(*tools):
        missing(f"this machine lacks {lacked}")


def missing(reason: str) -> NoReturn:
    """Ends the test here: what it needs cannot be had."""
    if os.environ.get("TESTS_REQUIRE_ALL") == "1":
        pytest.fail(f"{reason}, and TESTS_REQUIRE_ALL=1 allows no skip", pytrace=False)
    pytest.skip(reason)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "needs(*tools): executables, root, Linux or CPython 3.11, without which the test cannot run"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before any fixture of the test is built."""
    for marker in item.iter_markers("needs"):
        require(*marker.args)
