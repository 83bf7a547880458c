"""Commands in a network of their own that has nothing but loopback, on a root that nobody can write to."""

import shlex

from tests.support.needs import find, missing
from tests.support.process import run

ON_LOOPBACK_ALONE = ("root", "unshare", "mount")
"""What a test of it needs."""


def loopback_alone(*command: str) -> list[str]:
    """`command` in there; loopback is down at first. Skips where the machine does not permit it."""
    unshare = find("unshare")
    if unshare is None or run(unshare, "--net", "--mount", "true", check=False).returncode:
        missing("this machine permits no namespaces")
    script = f"mount -o remount,ro,bind / && exec {shlex.join(command)}"
    return [unshare, "--net", "--mount", "sh", "-c", script]
