"""The operating system's view of `nacos-sidecar run`: event loop, signals, file limit, and how it ended."""

import asyncio
import enum
import gc
import io
import os
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from sidecar.app.backend import AppBackend
from sidecar.app.listeners import CannotBindError
from sidecar.app.logs import CannotOpenLogError
from sidecar.app.reloading import Reloader
from sidecar.app.sidecar import Sidecar
from sidecar.config import ConfigError, Loaded, load
from sidecar.config.report import as_text
from sidecar.exits import Exit
from sidecar.tasks import spawn

_SWITCH = 0.0005
"""Seconds after which a thread that reads a configuration gives way to the loop; it would be 5 ms, and several times for a
call, for every system call of the loop's lets the other thread go on."""

GOODBYE = 1.0
"""Seconds that the loop and the interpreter may take to end, when all is said and done."""

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


class Ending(enum.Enum):
    """How the process came to its end, by the exit code that says so."""

    DRAINED = Exit.OK
    INVALID = Exit.CONFIG
    UNBOUND = Exit.UNAVAILABLE
    INTERRUPTED = Exit.INTERRUPTED
    TERMINATED = Exit.TERMINATED
    CRASHED = Exit.INTERNAL


def run(config: Path | None, overrides: Mapping[str, str]) -> Ending:
    """Runs one sidecar until it is drained, stopped or fails; problems are told on stderr.

    `overrides` are the texts of flags by key. Raises config.FlagError on bad usage.
    """
    reload = partial(load, config, environ=os.environ, overrides=overrides, certificates=True)
    try:
        loaded = reload()
    except ConfigError as error:
        sys.stderr.write(as_text(error.problems))
        return Ending.INVALID
    _raise_file_limit()
    sys.setswitchinterval(_SWITCH)
    factory, loop_name = _event_loop(loaded.run.loop)
    with asyncio.Runner(loop_factory=factory) as runner:
        ending = runner.run(_main(loaded, reload, loop_name))
        _leave_within(GOODBYE, ending)
    return ending


async def _main(loaded: Loaded, reload: Callable[[], Loaded], loop_name: str) -> Ending:
    reloader = Reloader(reload, poll=loaded.run.reload_poll)
    try:
        sidecar = Sidecar(loaded, reloader, loop_name=loop_name)
    except CannotOpenLogError as error:
        sys.stderr.write(f"nacos-sidecar: {error}\n")
        return Ending.UNBOUND
    signals = _Signals(sidecar)
    try:
        await sidecar.start()
    except CannotBindError as error:
        sys.stderr.write(f"nacos-sidecar: {error}\n")
        ending = Ending.UNBOUND
    except Exception as error:  # noqa: BLE001 - told as event `crash`, and by the exit code
        sidecar.journal.crash(error)
        ending = Ending.CRASHED
    else:
        reloader.watch(sidecar)
        gc.collect()
        gc.freeze()  # what is there now lives as long as the process: later collections need not look at it
        lists = spawn(spare_lists(sidecar.ready), name="lists are there")
        ending = await signals.wait()
        lists.cancel()
    await sidecar.stop()
    return ending


async def spare_lists(ready: asyncio.Event) -> None:
    """Once all lists are there, the collector need not look at them either.

    Ten thousand instances are 20 000 objects, ten milliseconds in which nothing else runs; they hold no cycles, so
    those that leave are freed as ever.
    """
    await ready.wait()
    gc.freeze()


class _Signals:
    """What each signal does; the first TERM or INT drains, the second one ends at once."""

    def __init__(self, sidecar: Sidecar) -> None:
        self._sidecar = sidecar
        self._backend = AppBackend(sidecar)
        self._ending: asyncio.Future[Ending] = sidecar.loop.create_future()
        add = sidecar.loop.add_signal_handler
        add(signal.SIGTERM, self._stop, "SIGTERM", Ending.TERMINATED)
        add(signal.SIGINT, self._stop, "SIGINT", Ending.INTERRUPTED)
        add(signal.SIGHUP, self._reload)
        add(signal.SIGUSR1, self._backend.dump_state)
        add(signal.SIGUSR2, self._dump_stacks)

    async def wait(self) -> Ending:
        """Until the drain is over, or a second signal came."""
        drained = spawn(self._until_drained(), name="drain")
        try:
            return await self._ending
        finally:
            drained.cancel()

    async def _until_drained(self) -> None:
        await self._sidecar.drained.wait()
        self._end(Ending.DRAINED)

    def _end(self, ending: Ending) -> None:
        if not self._ending.done():
            self._ending.set_result(ending)

    def _stop(self, name: str, ending: Ending) -> None:
        if not self._sidecar.stopping:
            self._sidecar.begin_stop(name)
        else:
            self._end(ending)

    def _dump_stacks(self) -> None:
        self._sidecar.logs.events.write_text(_stacks())

    def _reload(self) -> None:
        spawn(self._backend.reload(), name="reload by SIGHUP")


def _leave_within(seconds: float, ending: Ending) -> None:
    """The loop and the interpreter wait for threads at their end, and one that asks a silent name server comes too late."""
    force = threading.Timer(seconds, os._exit, [ending.value])
    force.daemon = True
    force.start()


def _stacks() -> str:
    """Of all threads and tasks, the most recent call last."""
    told = io.StringIO()
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in sys._current_frames().items():  # noqa: SLF001 - documented, and the only way
        told.write(f"Stack for thread {names.get(ident, ident)}:\n{''.join(traceback.format_stack(frame))}")
    for task in asyncio.all_tasks():
        try:
            task.print_stack(file=told)
        except Exception:  # noqa: BLE001 - one in compiled code (gRPC's) has frames without a line, at which traceback fails
            told.write(f"{task!r}\n")
    return told.getvalue()


def _event_loop(wanted: str) -> tuple[LoopFactory, str]:
    """`auto` is uvloop where it can be had: not on every platform."""
    if wanted != "asyncio":
        try:
            import uvloop  # noqa: PLC0415 - only where it is wanted
        except ImportError:
            if wanted == "uvloop":
                raise
        else:
            return uvloop.new_event_loop, "uvloop"
    return asyncio.new_event_loop, "asyncio"


def _raise_file_limit() -> None:
    """Two descriptors a pooled connection: the soft limit of 1024 that shells set is soon too small."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
