"""`python -m tests.support`: makes ahead, telling its progress, what tests would else have to wait for.

That is the Java programs, the npm packages, the base image and the collections of requests, as far as this machine has the tools.
All of it lands in `.cache`.
"""

import logging
import subprocess
import sys
from collections.abc import Callable, Sequence

from tests.apps.stacks import A, B
from tests.support import containers, corpora, java, other_clients
from tests.support.needs import lacking


def prepare(what: str, tools: Sequence[str], make: Callable[[], object]) -> None:
    if missing := lacking(*tools):
        logging.getLogger("tests").info("no %s for the tests: this machine lacks %s", what, missing)
    else:
        make()


def build_java() -> None:
    """Of the legacy apps only those that the tests play with; the trial builds the others when it needs them."""
    java.build_all(A.provider, B.provider)


def fetch_corpora() -> None:
    try:
        for source in corpora.ALL:
            corpora.fetch(source)
    except subprocess.CalledProcessError as error:
        logging.getLogger("tests").info("no collections of requests for the tests: %s", error)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    prepare("Java programs", java.TOOLS, build_java)
    prepare("npm packages", other_clients.NODE_TOOLS, other_clients.node_home)
    prepare("base image", containers.TOOLS, containers.make_base)
    fetch_corpora()
