"""argv to a command, and to an exit code.

Commands import what they need when they run: `wait` and `status` are called by probes and scripts and must start
fast. Results go to stdout, problems and the event log to stderr.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sidecar import __version__
from sidecar.config.address import Address, listen_address
from sidecar.config.report import FlagError
from sidecar.durations import duration
from sidecar.exits import Exit

_DESCRIPTION = """\
Carries an app's outbound calls to providers registered in Nacos, so that restarts of the providers stay
invisible to the app. Put it in the app's pod, point the app at it, restart the providers as you please.
"""

_EPILOG = """\
first steps:
  nacos-sidecar demo                      see it work: a rolling restart under load, with and without
  nacos-sidecar check -c sidecar.yaml     every problem of a configuration in one pass
  nacos-sidecar run -c sidecar.yaml       the proxy, until a signal

The smallest configuration is two lines; it serves order-service on 127.0.0.1:15001 by that Host:
  version: 1
  services: [{name: order-service}]
"""

if TYPE_CHECKING:
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse names it nowhere else

T = TypeVar("T")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code; bad usage leaves by SystemExit(2), as argparse does it."""
    parser = _parser()
    args = parser.parse_args(argv)
    if args.command is None:
        parser.print_help(sys.stderr)
        return Exit.USAGE
    try:
        code = int(args.command(args))
        sys.stdout.flush()
    except FlagError as error:
        args.parser.error(str(error))
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:  # the reader of stdout has seen enough; the interpreter must not flush into it at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    return code


def _read(read: Callable[[object], T], text: str) -> T:
    """One of the readers of `config`, in argparse's words when it refuses."""
    try:
        return read(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected {error}, got {text!r}") from None


def _duration(text: str) -> float:
    return _read(duration, text)


def _patience(text: str) -> float:
    return _read(partial(duration, zero=True), text)


def _address(text: str) -> Address:
    return _read(listen_address, text)


def _offset(text: str) -> int:
    return _read(_whole_number, text)


def _whole_number(text: object) -> int:
    """Of ports between two of them."""
    number = int(text) if isinstance(text, str) and text.isdecimal() else 0
    if not 1 <= number <= 60_000:
        raise ValueError("a whole number from 1 to 60000")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nacos-sidecar",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(command=None)
    parser.add_argument("--version", action="version", version=f"nacos-sidecar {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_run(commands)
    _add_check(commands)
    _add_schema(commands)
    _add_wait(commands)
    _add_status(commands)
    _add_demo(commands)
    _add_registry(commands)
    _add_iptables(commands)
    _add_replay(commands)
    return parser


def _command(
    commands: "_Commands",
    name: str,
    run: Callable[[argparse.Namespace], int],
    summary: str,
    details: str = "",
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=details or None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(command=run, parser=parser)
    return parser


def _config_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-c", "--config", metavar="FILE", type=Path, default=None, help="the YAML; SIDECAR_CONFIG when not given"
    )


def _add_run(commands: "_Commands") -> None:
    parser = _command(
        commands,
        "run",
        _run,
        "run the proxy in the foreground, until a signal or POST /quitquitquit",
        "exit codes: 0 drained, 1 internal error, 2 bad usage, 69 a listener cannot be bound,\n"
        "78 the configuration is missing or invalid, 130 or 143 stopped at once by a second signal\n"
        "signals: TERM, INT drain (twice: stop at once), HUP reload, USR1 dump the state, USR2 dump the stacks",
    )
    _config_flag(parser)
    parser.add_argument("--log-level", choices=["debug", "info", "warning", "error"], help="overrides logging.level")
    parser.add_argument("--log-format", choices=["text", "json"], help="overrides logging.format")
    parser.add_argument("--admin-listen", metavar="ADDR", help="overrides admin.listen")
    parser.add_argument(
        "--loop", choices=["auto", "uvloop", "asyncio"], help="event loop; auto (default): uvloop when installed"
    )
    parser.add_argument(
        "--reload-poll",
        metavar="DURATION",
        help="how often the file's content is compared (default 3s); 0s: only SIGHUP and POST /reload",
    )


def _run(args: argparse.Namespace) -> int:
    from sidecar.app.process import run

    flags = {
        "logging.level": args.log_level,
        "logging.format": args.log_format,
        "admin.listen": args.admin_listen,
        "loop": args.loop,
        "reload_poll": args.reload_poll,
    }
    ending = run(args.config, {key: text for key, text in flags.items() if text is not None})
    return ending.value


def _add_check(commands: "_Commands") -> None:
    parser = _command(
        commands,
        "check",
        _check,
        "validate a configuration without touching the network; every problem in one pass",
        "exit codes: 0 valid, 2 bad usage, 78 missing, unreadable or invalid",
    )
    _config_flag(parser)
    parser.add_argument(
        "--print-effective", action="store_true", help="print the YAML with every default and override, secrets as ***"
    )
    parser.add_argument("--format", choices=["text", "json"], default="text", help="how problems are printed")
    parser.add_argument("--strict", action="store_true", help="warnings count as errors")
    parser.add_argument(
        "--files", action="store_true", help="referenced files must be readable, too, and the access log writable"
    )


def _check(args: argparse.Namespace) -> int:
    from sidecar.config.check import check

    verdict = check(
        args.config,
        environ=os.environ,
        strict=args.strict,
        files=args.files,
        format=args.format,
        print_effective=args.print_effective,
    )
    sys.stdout.write(verdict.out)
    sys.stderr.write(verdict.err)
    return verdict.code


def _add_schema(commands: "_Commands") -> None:
    _command(commands, "schema", _schema, "print the JSON Schema of the YAML, for editors and CI")


def _schema(_args: argparse.Namespace) -> int:
    from sidecar.config.schema import schema_text

    sys.stdout.write(schema_text())
    return Exit.OK


def _admin_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--admin",
        type=_address,
        metavar="ADDR",
        help="the admin port (default: SIDECAR_ADMIN_LISTEN, else 127.0.0.1:19901)",
    )


def _admin(args: argparse.Namespace) -> str:
    if args.admin is not None:
        return str(args.admin)
    text = os.environ.get("SIDECAR_ADMIN_LISTEN") or "127.0.0.1:19901"
    try:
        return str(listen_address(text))
    except ValueError as error:
        raise FlagError(f"env:SIDECAR_ADMIN_LISTEN: expected {error}, got {text!r}") from None


def _add_wait(commands: "_Commands") -> None:
    parser = _command(
        commands,
        "wait",
        _wait,
        "wait until a running sidecar is ready",
        "exit codes: 0 ready, 2 bad usage, 69 not ready in time (the closed latches are printed)",
    )
    parser.add_argument(
        "--timeout",
        type=_patience,
        metavar="DURATION",
        default=60.0,
        help="give up after this (default 60s); 0s: ask once",
    )
    _admin_flag(parser)


def _wait(args: argparse.Namespace) -> int:
    from sidecar.admin.client import wait

    return wait(_admin(args), timeout=args.timeout)


def _add_status(commands: "_Commands") -> None:
    parser = _command(
        commands,
        "status",
        _status,
        "show services and endpoints of a running sidecar",
        "a service without endpoints: Nacos has not answered, or lists nobody under its name, group and namespace\n"
        "STATE held: no longer listed, but it answers; quarantined: it refuses; ejected: its answers are bad;\n"
        "UNTIL: when that ends or is tried again; every fact: --format json\n"
        "exit codes: 0 shown, 2 bad usage, 69 the admin port cannot be reached",
    )
    _admin_flag(parser)
    parser.add_argument("--format", choices=["text", "json"], default="text", help="json: the body of /clusters")
    parser.add_argument("--service", metavar="NAME", help="only this service")


def _status(args: argparse.Namespace) -> int:
    from sidecar.admin.client import status

    return status(_admin(args), format=args.format, service=args.service)


def _add_demo(commands: "_Commands") -> None:
    parser = _command(
        commands,
        "demo",
        _demo,
        "see it work, on loopback alone: a rolling restart and a false empty list, with and without the sidecar",
        "exit codes: 0 the sidecar lost and repeated nothing, 2 bad usage, 3 it did, or the comparison proves nothing",
    )
    parser.add_argument(
        "--duration", type=_duration, metavar="DURATION", default=30.0, help="of the load, 5s to 45s (default 30s)"
    )
    parser.add_argument("--rate", type=int, metavar="N", default=50, help="calls a second of each caller (default 50)")
    parser.add_argument("--keep", action="store_true", help="leave everything running at the end, until Ctrl-C")
    parser.add_argument("--format", choices=["text", "json"], default="text", help="of the verdict")


def _demo(args: argparse.Namespace) -> int:
    from sidecar.demo.story import Options, tell
    from sidecar.demo.timing import LONGEST, SHORTEST

    if not 1 <= args.rate <= 1000:
        raise FlagError(f"--rate: expected 1 to 1000 calls a second, got {args.rate}")
    if not SHORTEST <= args.duration <= LONGEST:
        raise FlagError(
            f"--duration: expected {SHORTEST:.0f}s to {LONGEST:.0f}s, so that the whole run stays under a minute"
        )
    proven = tell(Options(duration=args.duration, rate=args.rate, keep=args.keep, as_json=args.format == "json"))
    return Exit.OK if proven else Exit.FOUND


def _add_registry(commands: "_Commands") -> None:
    parser = _command(
        commands,
        "registry",
        _registry,
        "run the embedded Nacos alone: in memory, real gRPC and HTTP on loopback, with fault knobs",
        "an instance without heartbeats:\n"
        "  curl -X POST 'http://127.0.0.1:8848/nacos/v1/ns/instance?serviceName=NAME&ip=IP&port=PORT&ephemeral=false'\n"
        "knobs: GET /faults lists them, POST /faults/NAME sets one (JSON body), DELETE /faults/NAME lifts it\n"
        "  curl -X POST http://127.0.0.1:8848/faults/forced_list -d '{}'     false empty lists, until\n"
        "  curl -X DELETE http://127.0.0.1:8848/faults/forced_list\n"
        "exit codes: 0 stopped by a signal, 2 bad usage, 69 a port cannot be bound",
    )
    parser.add_argument(
        "--listen",
        type=_address,
        metavar="ADDR",
        default="127.0.0.1:8848",
        help="HTTP address (default 127.0.0.1:8848)",
    )
    parser.add_argument(
        "--port-offset", type=_offset, metavar="N", default=1000, help="gRPC port = HTTP port + N (default 1000)"
    )


def _registry(args: argparse.Namespace) -> int:
    import asyncio

    from sidecar.embedded.serve import serve

    try:
        asyncio.run(serve(args.listen.host, args.listen.port, args.port_offset))
    except OSError as error:
        reason = error.strerror or str(error)
        sys.stderr.write(
            f"nacos-sidecar registry: {reason}; free the port, or choose others (--listen, --port-offset)\n"
        )
        return Exit.UNAVAILABLE
    return Exit.OK


def _add_iptables(commands: "_Commands") -> None:
    parser = _command(
        commands,
        "iptables",
        _iptables,
        "print, apply or remove the rules that bring an app's connections to the transparent listener",
        "redirected is all TCP that leaves a process of this host or pod, but not what goes to loopback, not what the\n"
        "sidecar's own user sends, and nothing to the ports of the registry and of the admin endpoint\n"
        "  nacos-sidecar iptables -c sidecar.yaml             a script for a shell\n"
        "  nacos-sidecar iptables -c sidecar.yaml --apply     needs root, or the capability NET_ADMIN\n"
        "  iptables -t nat -S NACOS_SIDECAR                   what is in force\n"
        "each may be repeated; --delete leaves nothing behind (docs/operating/transparent.md)\n"
        "exit codes: 0 done, 1 the rules cannot be changed, 2 bad usage,\n"
        "78 the configuration is invalid or has no transparent listener",
    )
    _config_flag(parser)
    action = parser.add_mutually_exclusive_group()
    for name, help_text in (
        ("print", "print a script (default)"),
        ("apply", "put the rules in force"),
        ("delete", "take them out again"),
    ):
        action.add_argument(f"--{name}", dest="action", action="store_const", const=name, help=help_text)
    parser.set_defaults(action="print")
    parser.add_argument(
        "--uid", type=_uid, metavar="N", default=65532, help="the sidecar's own user (default 65532, as in the image)"
    )


def _uid(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) >= 1 << 32:
        raise argparse.ArgumentTypeError(f"expected the number of a user, got {text!r}")
    return int(text)


def _iptables(args: argparse.Namespace) -> int:
    from sidecar.redirect.command import iptables

    outcome = iptables(args.config, environ=os.environ, action=args.action, uid=args.uid)
    sys.stdout.write(outcome.out)
    sys.stderr.write(outcome.err)
    return outcome.code


def _add_replay(commands: "_Commands") -> None:
    parser = _command(
        commands,
        "replay",
        _replay,
        "show what another configuration would have decided upon a saved timeline",
        "save a timeline from a running sidecar, change a copy of its configuration, and compare:\n"
        "  curl -s '127.0.0.1:19901/events?n=4096' > events.json\n"
        "  nacos-sidecar replay events.json -c other.yaml\n"
        "  10:00:01.123 orders: recorded push_refused why=empty kept=3; now snapshot_applied removed=3, …\n"
        "replayed are lists, dials, the registry lost and found, a second node's word, and what was done by hand;\n"
        "not replayed are calls: ejections, stalls and retries are left out (docs/operating/replay.md)\n"
        "exit codes: 0 replayed, whatever differs, 2 bad usage or FILE is no timeline, 78 the configuration is invalid",
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="a saved body of /events")
    _config_flag(parser)
    parser.add_argument("--format", choices=["text", "json"], default="text", help="of the result")


def _replay(args: argparse.Namespace) -> int:
    from sidecar.replay.command import replay

    verdict = replay(args.file, args.config, environ=os.environ, format=args.format)
    sys.stdout.write(verdict.out)
    sys.stderr.write(verdict.err)
    return verdict.code
