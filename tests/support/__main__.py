"""`python -m tests.support`: makes ahead, telling its progress, what tests would else have to wait for.

That is the Java programs and the base image, as far as this machine has the tools. All of it lands in `.cache`.
"""

import logging
import sys
from collections.abc import Callable, Sequence

from tests.support import containers, java
from tests.support.needs import lacking


def prepare(what: str, tools: Sequence[str], make: Callable[[], None]) -> None:
    if missing := lacking(*tools):
        logging.getLogger("tests").info("no %s for the tests: this machine lacks %s", what, missing)
    else:
        make()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    prepare("Java programs", java.TOOLS, java.build_all)
    prepare("base image", containers.TOOLS, containers.make_base)
