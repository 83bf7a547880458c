"""argv to a command: what each flag becomes, what is refused, and which code says what. The commands are stand-ins."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from sidecar import __version__
from sidecar.app.process import Ending
from sidecar.cli import main
from sidecar.config.report import FlagError
from sidecar.demo.story import Options
from sidecar.exits import Exit

COMMANDS = ("run", "check", "schema", "wait", "status", "demo", "registry")


class StandIn:
    """Remembers how it was called, and answers as told."""

    def __init__(self, answer: object = 0) -> None:
        self.answer = answer
        self.arguments: tuple[Any, ...] = ()
        self.options: dict[str, Any] = {}

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.arguments, self.options = arguments, options
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


Place = Callable[..., StandIn]


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Place:
    """Puts a stand-in where a command looks for its function."""

    def place(name: str, answer: object = 0) -> StandIn:
        found = StandIn(answer)
        monkeypatch.setattr(name, found)
        return found

    return place


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' own environment configures nothing."""
    for name in ("SIDECAR_CONFIG", "SIDECAR_ADMIN_LISTEN"):
        monkeypatch.delenv(name, raising=False)


def refusal(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """What bad usage is told; the exit code is checked on the way."""
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == Exit.USAGE
    told = capsys.readouterr()
    assert not told.out
    return told.err


def help_of(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """The help text, without line breaks."""
    with pytest.raises(SystemExit) as ended:
        main([*argv, "--help"])
    assert ended.value.code == 0
    return " ".join(capsys.readouterr().out.split())


class TestUsage:
    def test_the_version_goes_to_stdout(self, capsys: pytest.CaptureFixture[str]) -> None:
        """`--version` prints name and version and ends with 0."""
        with pytest.raises(SystemExit) as ended:
            main(["--version"])
        assert ended.value.code == 0
        assert capsys.readouterr().out == f"nacos-sidecar {__version__}\n"

    def test_no_command_shows_the_help_on_stderr(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Nothing asked is bad usage, and the answer lists every command."""
        assert main([]) == Exit.USAGE
        told = capsys.readouterr()
        assert not told.out
        assert all(f"\n    {command} " in told.err for command in COMMANDS)

    def test_an_unknown_command_is_told_the_known_ones(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The refusal repeats the word and lists what there is."""
        told = refusal(capsys, "strat")
        assert "strat" in told
        assert all(command in told for command in COMMANDS)

    @pytest.mark.parametrize("command", COMMANDS)
    def test_an_unknown_flag_is_refused(self, capsys: pytest.CaptureFixture[str], command: str) -> None:
        """No command swallows a flag that it does not know."""
        assert "--no-such-flag" in refusal(capsys, command, "--no-such-flag")

    @pytest.mark.parametrize("argv", [("wait", "--time", "1s"), ("run", "--conf", "x"), ("demo", "--rat", "5")])
    def test_no_flag_can_be_abbreviated(self, capsys: pytest.CaptureFixture[str], argv: tuple[str, ...]) -> None:
        """A flag that a later version adds cannot change what an old command line means."""
        assert "unrecognized arguments" in refusal(capsys, *argv)

    def test_the_main_help_teaches_the_first_steps(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A reader learns what it is for, what to type first, and the smallest configuration."""
        told = help_of(capsys)
        assert "providers registered in Nacos" in told
        assert "nacos-sidecar check -c sidecar.yaml" in told
        assert "services: [{name: order-service}]" in told

    @pytest.mark.parametrize("command", [command for command in COMMANDS if command != "schema"])
    def test_every_help_tells_the_exit_codes(self, capsys: pytest.CaptureFixture[str], command: str) -> None:
        """Scripts need not guess what a code means."""
        assert "exit codes: 0 " in help_of(capsys, command)

    @pytest.mark.parametrize("command", ["run", "check"])
    def test_without_a_configuration_both_ways_to_give_one_are_told(
        self, capsys: pytest.CaptureFixture[str], command: str
    ) -> None:
        """Neither --config nor SIDECAR_CONFIG: usage of this very command, and both names."""
        told = refusal(capsys, command)
        assert f"usage: nacos-sidecar {command}" in told
        assert "give --config FILE, or set SIDECAR_CONFIG" in told

    def test_ctrl_c_leaves_no_traceback(self, capsys: pytest.CaptureFixture[str], stand_in: Place) -> None:
        """An interrupted command ends with 130 and says nothing."""
        stand_in("sidecar.admin.client.wait", KeyboardInterrupt())
        assert main(["wait"]) == Exit.INTERRUPTED
        assert capsys.readouterr() == ("", "")


class TestRun:
    @pytest.mark.parametrize(
        ("ending", "code"),
        [
            (Ending.DRAINED, 0),
            (Ending.CRASHED, 1),
            (Ending.UNBOUND, 69),
            (Ending.INVALID, 78),
            (Ending.INTERRUPTED, 130),
            (Ending.TERMINATED, 143),
        ],
    )
    def test_each_ending_has_its_code(self, stand_in: Place, ending: Ending, code: int) -> None:
        """The code is the one that the contract gives to the ending."""
        stand_in("sidecar.app.process.run", ending)
        assert main(["run", "-c", "x.yaml"]) == code

    def test_no_ending_is_forgotten(self, stand_in: Place) -> None:
        """Whatever ending there is, a code exists for it."""
        for ending in Ending:
            stand_in("sidecar.app.process.run", ending)
            assert main(["run", "-c", "x.yaml"]) in set(Exit)

    def test_flags_become_overrides_of_their_keys(self, stand_in: Place) -> None:
        """Each flag reaches the loader as text, under the key that it overrides."""
        run = stand_in("sidecar.app.process.run", Ending.DRAINED)
        main([
            "run", "--config", "x.yaml", "--log-level", "debug", "--log-format", "json",
            "--admin-listen", "127.0.0.1:0", "--loop", "asyncio", "--reload-poll", "0s",
        ])  # fmt: skip
        assert run.arguments == (
            Path("x.yaml"),
            {
                "logging.level": "debug",
                "logging.format": "json",
                "admin.listen": "127.0.0.1:0",
                "loop": "asyncio",
                "reload_poll": "0s",
            },
        )

    def test_what_is_not_given_overrides_nothing(self, stand_in: Place) -> None:
        """Without flags the file and the environment decide, for the path too."""
        run = stand_in("sidecar.app.process.run", Ending.DRAINED)
        main(["run"])
        assert run.arguments == (None, {})

    @pytest.mark.parametrize(("flag", "text"), [("--log-level", "loud"), ("--log-format", "xml"), ("--loop", "trio")])
    def test_a_word_that_is_no_choice_is_refused(
        self, capsys: pytest.CaptureFixture[str], flag: str, text: str
    ) -> None:
        """The refusal names the flag and the word."""
        told = refusal(capsys, "run", flag, text)
        assert flag in told
        assert text in told

    def test_a_flag_that_the_loader_refuses_is_bad_usage(
        self, capsys: pytest.CaptureFixture[str], stand_in: Place
    ) -> None:
        """What only the configuration can judge ends with 2 as well, under the usage of `run`."""
        stand_in("sidecar.app.process.run", FlagError("--reload-poll: expected a duration"))
        told = refusal(capsys, "run", "-c", "x.yaml", "--reload-poll", "soon")
        assert told.startswith("usage: nacos-sidecar run ")
        assert told.endswith("error: --reload-poll: expected a duration\n")


class TestCheck:
    def test_flags_reach_the_check(self, stand_in: Place) -> None:
        """Strictness, files, format and the effective print are passed on."""
        check = stand_in("sidecar.config.check.check", _Verdict("", "", 0))
        main(["check", "-c", "x.yaml", "--strict", "--files", "--format", "json", "--print-effective"])
        assert check.arguments == (Path("x.yaml"),)
        assert {name: check.options[name] for name in ("strict", "files", "format", "print_effective")} == {
            "strict": True, "files": True, "format": "json", "print_effective": True,
        }  # fmt: skip

    def test_the_verdict_is_printed_and_returned(self, capsys: pytest.CaptureFixture[str], stand_in: Place) -> None:
        """Results to stdout, problems to stderr, the code to the caller."""
        stand_in("sidecar.config.check.check", _Verdict("result\n", "problem\n", 78))
        assert main(["check", "-c", "x.yaml"]) == Exit.CONFIG
        assert capsys.readouterr() == ("result\n", "problem\n")


class TestWaitAndStatus:
    @pytest.mark.parametrize("command", ["wait", "status"])
    @pytest.mark.parametrize(
        ("variable", "flags", "address"),
        [
            ("", (), "127.0.0.1:19901"),
            ("0.0.0.0:1", (), "0.0.0.0:1"),
            ("0.0.0.0:1", ("--admin", "[::1]:2"), "[::1]:2"),
            ("nonsense", ("--admin", "[::1]:2"), "[::1]:2"),
        ],
    )
    def test_the_admin_address_is_flag_then_variable_then_default(
        self,
        monkeypatch: pytest.MonkeyPatch,
        stand_in: Place,
        command: str,
        variable: str,
        flags: Sequence[str],
        address: str,
    ) -> None:
        """An empty variable counts as unset, and one that is not needed is not judged."""
        monkeypatch.setenv("SIDECAR_ADMIN_LISTEN", variable)
        asked = stand_in(f"sidecar.admin.client.{command}")
        assert main([command, *flags]) == 0
        assert asked.arguments == (address,)

    @pytest.mark.parametrize("command", ["wait", "status"])
    def test_a_bad_variable_is_named(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
    ) -> None:
        """The refusal blames the variable, not a flag that nobody gave."""
        monkeypatch.setenv("SIDECAR_ADMIN_LISTEN", "nonsense")
        told = refusal(capsys, command)
        assert "env:SIDECAR_ADMIN_LISTEN: expected an address such as" in told
        assert "'nonsense'" in told

    @pytest.mark.parametrize(("text", "seconds"), [("60s", 60.0), ("1.5m", 90.0), ("0s", 0.0)])
    def test_the_timeout_is_seconds(self, stand_in: Place, text: str, seconds: float) -> None:
        """Every unit is understood, and 0s asks once."""
        wait = stand_in("sidecar.admin.client.wait")
        main(["wait", "--timeout", text])
        assert wait.options == {"timeout": seconds}

    @pytest.mark.parametrize("text", ["60", "-1s", "soon", ""])
    def test_a_timeout_without_a_unit_is_refused(self, capsys: pytest.CaptureFixture[str], text: str) -> None:
        """The refusal shows what a duration looks like."""
        told = refusal(capsys, "wait", f"--timeout={text}")
        assert f"argument --timeout: expected a duration such as 250ms, 10s or 5m, got {text!r}" in told

    @pytest.mark.parametrize("code", [0, 69])
    def test_the_code_of_the_client_is_passed_on(self, stand_in: Place, code: int) -> None:
        """What the admin port said decides."""
        stand_in("sidecar.admin.client.wait", code)
        stand_in("sidecar.admin.client.status", code)
        assert (main(["wait"]), main(["status"])) == (code, code)

    def test_status_passes_format_and_service_on(self, stand_in: Place) -> None:
        """Both flags reach the client."""
        status = stand_in("sidecar.admin.client.status")
        main(["status", "--format", "json", "--service", "orders"])
        assert status.options == {"format": "json", "service": "orders"}


class TestDemo:
    def test_the_defaults_are_the_contracts(self, stand_in: Place) -> None:
        """30 s, 50 calls a second, nothing kept, text."""
        tell = stand_in("sidecar.demo.story.tell", answer=True)
        assert main(["demo"]) == Exit.OK
        assert tell.arguments == (Options(duration=30.0, rate=50, keep=False, as_json=False),)

    def test_flags_become_options(self, stand_in: Place) -> None:
        """Each flag changes its option."""
        tell = stand_in("sidecar.demo.story.tell", answer=True)
        main(["demo", "--duration", "10s", "--rate", "20", "--keep", "--format", "json"])
        assert tell.arguments == (Options(duration=10.0, rate=20, keep=True, as_json=True),)

    def test_what_is_not_proven_is_3(self, stand_in: Place) -> None:
        """A failed, repeated or meaningless comparison is no success."""
        stand_in("sidecar.demo.story.tell", answer=False)
        assert main(["demo"]) == Exit.FOUND

    @pytest.mark.parametrize("flags", [("--rate", "0"), ("--rate", "1001"), ("--duration", "4s"), ("--duration", "1m")])
    def test_what_cannot_be_shown_in_a_minute_is_refused(
        self, capsys: pytest.CaptureFixture[str], flags: tuple[str, str]
    ) -> None:
        """The refusal names the flag and its bounds."""
        assert f"error: {flags[0]}: expected " in refusal(capsys, "demo", *flags)


class TestRegistry:
    @pytest.mark.parametrize("text", ["0", "-1", "60001", "many"])
    def test_an_offset_that_leads_to_no_other_port_is_refused(
        self, capsys: pytest.CaptureFixture[str], text: str
    ) -> None:
        """gRPC needs a port of its own."""
        told = refusal(capsys, "registry", f"--port-offset={text}")
        assert f"argument --port-offset: expected a whole number from 1 to 60000, got {text!r}" in told

    def test_a_listen_address_without_a_port_is_refused(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The refusal shows what an address looks like."""
        assert "argument --listen: expected an address such as" in refusal(capsys, "registry", "--listen", "localhost")

    def test_it_serves_where_it_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Host, port and offset reach the server, and a signal's end is a success."""
        served: list[tuple[str, int, int]] = []

        async def serve(host: str, port: int, offset: int) -> None:
            served.append((host, port, offset))

        monkeypatch.setattr("sidecar.embedded.serve.serve", serve)
        assert main(["registry"]) == Exit.OK
        assert main(["registry", "--listen", "0.0.0.0:80", "--port-offset", "10"]) == Exit.OK
        assert served == [("127.0.0.1", 8848, 1000), ("0.0.0.0", 80, 10)]

    def test_a_taken_port_is_69(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        """What went wrong is passed on, with a remedy."""

        async def serve(*_: object) -> None:
            raise OSError(98, "port 8848 is taken")

        monkeypatch.setattr("sidecar.embedded.serve.serve", serve)
        assert main(["registry"]) == Exit.UNAVAILABLE
        assert "registry: port 8848 is taken; free the port, or choose" in capsys.readouterr().err


class TestStart:
    @pytest.mark.parametrize("argv", [["wait", "--timeout", "0s"], ["status"]])
    def test_wait_and_status_load_nothing_heavy(self, argv: list[str]) -> None:
        """Probes call them: neither the models, nor a web framework, nor gRPC, nor an event loop is imported."""
        script = (
            "import sys; from sidecar.cli import main\n"
            f"code = main({[*argv, '--admin', '127.0.0.1:9']!r})\n"
            "heavy = {'pydantic', 'aiohttp', 'grpc', 'yaml', 'asyncio', 'uvloop', 'v2', 'prometheus_client'}\n"
            "print(code, sorted(heavy & sys.modules.keys()))"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert done.stdout == "69 []\n"

    def test_a_reader_that_leaves_early_is_no_error(self) -> None:
        """`nacos-sidecar schema | head -1` ends with 0 and without a word on stderr."""
        with subprocess.Popen(
            [sys.executable, "-m", "sidecar", "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            process.stdout.close()
            assert process.stderr is not None
            assert process.stderr.read() == b""
        assert process.returncode == 0


class _Verdict:
    """As `sidecar.config.check` gives it."""

    def __init__(self, out: str, err: str, code: int) -> None:
        self.out, self.err, self.code = out, err, code
