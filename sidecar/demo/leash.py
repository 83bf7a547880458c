"""Ties a program to whoever starts it: `python -m sidecar.demo.leash PID MODULE…` runs `python -m MODULE…`.

PID is the starter's. When that ends, however it ends, the kernel kills the program (Linux; elsewhere it lives on). A
starter that is killed cannot end anybody any more, and five processes on fixed ports are nothing to leave behind.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Never returns: the program takes the place of this one and keeps its process id."""
    starter, *program = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != int(starter):
            raise SystemExit("whoever started this has ended before it began")
    os.execv(sys.executable, [sys.executable, "-m", *program])  # noqa: S606 - our own command line


if __name__ == "__main__":
    main()
