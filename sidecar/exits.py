"""What a process of ours says when it ends: 69 and 78 are those of sysexits.h, 130 and 143 are 128 + the signal."""

import enum


class Exit(enum.IntEnum):
    """Exit codes of every command."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    FOUND = 3
    UNAVAILABLE = 69
    CONFIG = 78
    INTERRUPTED = 130
    TERMINATED = 143
