"""A process without descriptors: this one, for a while."""

import contextlib
import errno
import os
import resource
from collections.abc import Iterator


@contextlib.contextmanager
def none_left() -> Iterator[None]:
    """No descriptor is to be had until the block ends, but for one that somebody gives back."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))  # noqa: PTH208 - numbers, no paths
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, before[1]))
    taken: list[int] = []
    try:
        while (number := _one_more()) is not None:
            taken.append(number)
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for number in taken:
            os.close(number)


def _one_more() -> int | None:
    try:
        return os.dup(0)
    except OSError as error:
        if error.errno != errno.EMFILE:
            raise
        return None
