"""The commands in processes of their own: what a script sees of them."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.http_client import Answer, request
from tests.support.ports import free_port
from tests.support.process import Child
from tests.support.providers import providers
from tests.support.sidecar_process import running
from tests.support.until import PATIENCE, until

pytestmark = pytest.mark.own_process

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "config").glob("*.yaml"))


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str


async def nacos_sidecar(*arguments: str, folder: Path = ROOT, environ: Mapping[str, str] | None = None) -> Done:
    """Runs a command to its end, in an environment that configures nothing but `environ`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sidecar", *arguments,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        cwd=folder, env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **(environ or {})},
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode is not None
    return Done(process.returncode, out.decode(), err.decode())


class TestCheck:
    @pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
    async def test_the_examples_are_valid(self, example: Path) -> None:
        """Each configuration that we ship loads in strict mode, without a warning."""
        done = await nacos_sidecar("check", "--strict", "-c", str(example))
        assert (done.code, done.err) == (0, "")
        assert done.out.startswith(f"{example}: ok: ")

    async def test_the_variable_gives_the_file(self, tmp_path: Path) -> None:
        """SIDECAR_CONFIG does what --config does."""
        example = str(EXAMPLES[0])
        assert (await nacos_sidecar("check", folder=tmp_path, environ={"SIDECAR_CONFIG": example})).code == 0

    async def test_a_missing_file_is_78(self, tmp_path: Path) -> None:
        """Its path is told; that is the configuration's fault, not bad usage."""
        done = await nacos_sidecar("check", "-c", "nowhere.yaml", folder=tmp_path)
        assert done.code == 78
        assert "nowhere.yaml" in done.err

    async def test_every_problem_is_told_with_its_place(self, tmp_path: Path) -> None:
        """Two mistakes, two lines on stderr, nothing on stdout."""
        (tmp_path / "bad.yaml").write_text("version: 1\nlisten: nowhere\nservices: [{nam: orders}]\n")
        done = await nacos_sidecar("check", "-c", "bad.yaml", folder=tmp_path)
        assert (done.code, done.out) == (78, "")
        assert "bad.yaml:2:9: listen: " in done.err
        assert "bad.yaml:3:" in done.err

    async def test_json_goes_to_stdout_whatever_it_says(self, tmp_path: Path) -> None:
        """A program reads one document, valid or not."""
        (tmp_path / "bad.yaml").write_text("version: 2\n")
        done = await nacos_sidecar("check", "--format", "json", "-c", "bad.yaml", folder=tmp_path)
        assert (done.code, done.err) == (78, "")
        assert json.loads(done.out)


async def test_the_schema_is_the_published_one() -> None:
    """Byte for byte the file that editors are pointed at."""
    done = await nacos_sidecar("schema")
    assert (done.code, done.err) == (0, "")
    assert done.out == (ROOT / "config" / "sidecar.schema.json").read_text()


async def test_without_a_file_run_is_bad_usage(tmp_path: Path) -> None:
    """No flag and no variable: exit 2 and both names, before anything is bound."""
    done = await nacos_sidecar("run", folder=tmp_path)
    assert done.code == 2
    assert "give --config FILE, or set SIDECAR_CONFIG" in done.err


class TestWaitAndStatus:
    async def test_both_ask_a_running_sidecar(self, tmp_path: Path) -> None:
        """Ready is 0 without a word; the table names service, endpoint and state; JSON is the body of /clusters."""
        async with providers(1) as (provider,), running(tmp_path, _static(provider.address)) as process:
            admin = f"127.0.0.1:{await process.bound('admin')}"
            assert await nacos_sidecar("wait", "--timeout", "30s", "--admin", admin) == Done(0, "", "")

            shown = await nacos_sidecar("status", environ={"SIDECAR_ADMIN_LISTEN": admin})
            assert shown.code == 0
            head, row = shown.out.splitlines()[:2]
            assert head.split() == ["SERVICE", "ENDPOINT", "STATE", "IN-FLIGHT", "REQUESTS", "FAILURES", "UNTIL"]
            assert row.split()[:3] == ["orders", provider.address, "available"]

            as_json = await nacos_sidecar("status", "--format", "json", "--service", "orders", "--admin", admin)
            assert [cluster["name"] for cluster in json.loads(as_json.out)["clusters"]] == ["orders"]

    async def test_wait_tells_which_latch_is_closed(self, tmp_path: Path) -> None:
        """A required service without a list keeps it unready: 69, and the latch by name."""
        text = (
            f"version: 1\nlisten: null\nadmin: {{listen: 127.0.0.1:0}}\n"
            f"nacos: {{server_addresses: 127.0.0.1:{free_port((0, 1000))}}}\n"
            "services: [{name: orders, listen: 127.0.0.1:0, required: true}]\n"
        )
        async with running(tmp_path, text) as process:
            admin = f"127.0.0.1:{await process.bound('admin')}"
            done = await nacos_sidecar("wait", "--timeout", "3s", "--admin", admin)
            assert (done.code, done.out) == (69, "")
            assert "not ready after 3s: service/orders (" in done.err

    @pytest.mark.parametrize("command", [("wait", "--timeout", "100ms"), ("status",)])
    async def test_nobody_there_is_69(self, command: Sequence[str]) -> None:
        """The address is told on stderr."""
        nowhere = f"127.0.0.1:{free_port()}"
        done = await nacos_sidecar(*command, "--admin", nowhere)
        assert (done.code, done.out) == (69, "")
        assert nowhere in done.err

    async def test_an_unknown_service_is_bad_usage(self, tmp_path: Path) -> None:
        """`status --service` tells a name that is not configured from one without endpoints."""
        async with running(tmp_path, _static("127.0.0.1:9")) as process:
            admin = f"127.0.0.1:{await process.bound('admin')}"
            done = await nacos_sidecar("status", "--service", "order", "--admin", admin)
            assert (done.code, done.out) == (2, "")
            assert "no service 'order'" in done.err


class TestReplay:
    async def test_a_timeline_of_a_running_sidecar_is_replayed(self, tmp_path: Path) -> None:
        """Saved as the help says, under the configuration it runs with: exit 0 and no difference."""
        async with providers(1) as (provider,), running(tmp_path, _static(provider.address)) as process:
            await process.ready()
            saved = (await process.admin("/events?n=4096")).body.decode()
        await asyncio.to_thread((tmp_path / "events.json").write_text, saved)
        done = await nacos_sidecar("replay", "events.json", "-c", "sidecar.yaml", folder=tmp_path)
        assert (done.code, done.err) == (0, "")
        assert done.out.endswith("no difference: all 2 decisions are the same\n")

    @pytest.mark.parametrize("arguments", [(), ("nowhere.json",), ("nowhere.json", "-c", "sidecar.yaml")])
    async def test_a_missing_argument_or_file_is_bad_usage(self, tmp_path: Path, arguments: Sequence[str]) -> None:
        """No FILE, no configuration, no timeline: exit 2 and the reason."""
        await asyncio.to_thread((tmp_path / "sidecar.yaml").write_text, _static("127.0.0.1:9"))
        done = await nacos_sidecar("replay", *arguments, folder=tmp_path)
        assert (done.code, done.out) == (2, "")
        assert ("nowhere.json" if len(arguments) == 3 else "usage: nacos-sidecar replay") in done.err

    async def test_an_invalid_configuration_is_78(self, tmp_path: Path) -> None:
        """Before the timeline is looked at."""
        done = await nacos_sidecar("replay", "events.json", "-c", "nowhere.yaml", folder=tmp_path)
        assert (done.code, done.out) == (78, "")
        assert "nowhere.yaml" in done.err


class TestRegistry:
    async def test_its_faults_are_listed_put_in_force_and_lifted(self, tmp_path: Path) -> None:
        """GET shows every knob with its help; POST sets one; DELETE lifts it."""
        async with _registry(tmp_path) as (port, _):
            known = _json(await request(port, path="/faults"))
            assert not known["in_force"]
            assert known["known"]["forced_list"]["help"]
            body = b'{"service": "orders", "shape": "empty"}'
            assert (await request(port, "POST", "/faults/forced_list", body=body)).status == 200
            assert "empty" in json.dumps(_json(await request(port, path="/faults"))["in_force"])
            assert (await request(port, "DELETE", "/faults/forced_list")).status == 200
            assert _json(await request(port, path="/faults"))["in_force"] == known["in_force"]

    async def test_a_knob_that_is_not_there_is_refused(self, tmp_path: Path) -> None:
        """A mistyped name or shape is an error, not a registry that silently behaves."""
        async with _registry(tmp_path) as (port, _):
            assert (await request(port, "POST", "/faults/forced_lists", body=b"{}")).status == 400
            assert (await request(port, "POST", "/faults/forced_list", body=b'{"shape": "emtpy"}')).status == 400
            assert (await request(port, "DELETE", "/faults/forced_lists")).status == 404

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    async def test_a_signal_is_its_end(self, tmp_path: Path, number: signal.Signals) -> None:
        """Exit 0, without a traceback."""
        async with _registry(tmp_path) as (_, child):
            child.signal(number)
            assert await child.ended() == 0
            assert "Traceback" not in child.output()

    @pytest.mark.parametrize("distance", [0, 1000])
    async def test_a_taken_port_is_69(self, distance: int) -> None:
        """Whether the one for HTTP or the one for gRPC is taken, the message names it."""
        port = free_port((0, 1000))
        with socket.create_server(("127.0.0.1", port + distance)):
            done = await nacos_sidecar("registry", "--listen", f"127.0.0.1:{port}")
        assert (done.code, done.out) == (69, "")
        assert done.err == (
            f"nacos-sidecar registry: cannot bind 127.0.0.1:{port + distance}: Address already in use; "
            "free the port, or choose others (--listen, --port-offset)\n"
        )

    async def test_a_sidecar_subscribes_to_it(self, tmp_path: Path) -> None:
        """Started by hand side by side, as the help suggests, both talk to each other."""
        async with _registry(tmp_path) as (port, _):
            text = (
                f"version: 1\nlisten: null\nadmin: {{listen: 127.0.0.1:0}}\n"
                f"nacos: {{server_addresses: 127.0.0.1:{port}}}\n"
                "services: [{name: orders, listen: 127.0.0.1:0}]\n"
            )
            async with running(tmp_path, text) as process:
                await process.event("registry_connected")


@asynccontextmanager
async def _registry(folder: Path) -> AsyncIterator[tuple[int, Child]]:
    """`nacos-sidecar registry` on a port of its choice."""
    child = Child([sys.executable, "-m", "sidecar", "registry", "--listen", "127.0.0.1:0"], log=folder / "registry.log")
    try:

        async def told() -> bool:
            assert child.exit_code is None, child.tail()
            return "stop with Ctrl-C" in child.output()

        await until(told)
        yield int(child.output().partition("HTTP on 127.0.0.1:")[2].partition(",")[0]), child
    finally:
        await child.terminate()


def _static(address: str) -> str:
    return (
        "version: 1\nlisten: null\nadmin: {listen: 127.0.0.1:0}\n"
        f'services: [{{name: orders, listen: 127.0.0.1:0, discovery: {{static: ["{address}"]}}}}]\n'
    )


def _json(answer: Answer) -> Any:
    return json.loads(answer.body)
