"""`protocol: tcp` with real peers, a Redis and a gRPC server, through a sidecar in a process of its own."""

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.grpc_echo import GrpcEcho, channel_to, chatting, slowly_read
from tests.support.memory import kept
from tests.support.redis import Redis, command, conversation, tell
from tests.support.sidecar_process import SidecarProcess, running
from tests.support.until import until

CONFIG = """\
version: 1
listen: null
admin: {{listen: 127.0.0.1:0}}
access_log: {{path: access.log, format: json}}
services:
  - name: ledger
    listen: 127.0.0.1:0
    protocol: tcp
    discovery: {{static: [{instances}]}}
    load_balancing: {{policy: round_robin}}
    wait_for_instance: {{timeout: 60s}}
    {more}
"""

MIB = 1 << 20
WAYS = ("wait", "retry")

pytestmark = [pytest.mark.one_loop, pytest.mark.needs("redis-server")]


@contextlib.asynccontextmanager
async def in_front_of(folder: Path, *ports: int, more: str = "") -> AsyncIterator[tuple[SidecarProcess, int]]:
    """A sidecar that is ready, and the port of the service; `more` is a line of its configuration."""
    instances = ", ".join(f'"127.0.0.1:{port}"' for port in ports)
    async with running(folder, CONFIG.format(instances=instances, more=more)) as sidecar:
        await sidecar.ready()
        yield sidecar, await sidecar.bound("ledger")


def logged(folder: Path) -> list[dict[str, Any]]:
    """Connections that ended."""
    return [json.loads(line) for line in (folder / "access.log").read_text().splitlines()]


@contextlib.asynccontextmanager
async def redis(folder: Path, *names: str) -> AsyncIterator[list[Redis]]:
    """Servers that answer."""
    servers = [Redis(folder / name) for name in names]
    await asyncio.gather(*(server.start() for server in servers))
    try:
        yield servers
    finally:
        for server in servers:
            server.child.kill()


async def test_a_redis_that_restarts_is_waited_for(tmp_path: Path) -> None:
    """The only instance: a command that comes while it is away is held, and answered by the new process."""
    async with redis(tmp_path, "one") as (one,), in_front_of(tmp_path, one.port) as (sidecar, port):
        assert await tell(port, "SET", "stock", "7") == b"+OK\r\n"
        await one.child.terminate()
        asking = asyncio.get_running_loop().create_task(tell(port, "GET", "stock"))

        async def is_held() -> bool:
            return await sidecar.metric('sidecar_waiting_requests{service="ledger"}') == 1

        await until(is_held, pause=0.01)
        await one.start()
        assert await asking == b"$1\r\n"
        rescued = [await sidecar.metric(f'sidecar_rescued_requests_total{{service="ledger",by="{by}"}}') for by in WAYS]
        assert sum(rescued) == 1


async def test_replies_still_come_when_the_client_has_ended_its_side(tmp_path: Path) -> None:
    """FIN behind the last command: every reply, then the server's own FIN."""
    async with redis(tmp_path, "one") as (one,), in_front_of(tmp_path, one.port) as (_, port):
        async with conversation(port) as (reader, writer):
            writer.write(b"".join(command("INCR", "n") for _ in range(100)))
            writer.write_eof()
            assert await reader.read() == b"".join(b":%d\r\n" % n for n in range(1, 101))
        await until(lambda: ended(tmp_path, 1))
        assert [(one["response_flags"], one["bytes_sent"]) for one in logged(tmp_path)] == [("-", 492)]


async def ended(folder: Path, count: int) -> bool:
    return len(logged(folder)) >= count


async def test_replies_that_nobody_reads_are_held_back_in_the_server(tmp_path: Path) -> None:
    """64 MiB of them: the sidecar keeps next to none, and all arrive when they are read at last."""
    value, times = "x" * (64 * 1024), 1024
    async with redis(tmp_path, "one") as (one,), in_front_of(tmp_path, one.port) as (sidecar, port):
        assert await tell(port, "SET", "large", value) == b"+OK\r\n"
        before = kept(sidecar.child.pid).resident
        async with conversation(port) as (reader, writer):
            writer.write(command("GET", "large") * times)
            reply = b"$%d\r\n%b\r\n" % (len(value), value.encode())
            assert await reader.readexactly(len(reply)) == reply
            await until(lambda: all_asked(one.port, times))
            assert kept(sidecar.child.pid).resident - before < 4 * MIB
            for _ in range(times - 1):
                assert await reader.readexactly(len(reply)) == reply


async def all_asked(port: int, times: int) -> bool:
    """The server has executed so many GETs."""
    async with conversation(port) as (reader, writer):
        writer.write(command("INFO", "commandstats"))
        info = await reader.readuntil(b"\r\n\r\n")
    return b"cmdstat_get:calls=%d," % times in info


async def test_what_is_silent_for_too_long_is_reset_and_what_speaks_is_not(tmp_path: Path) -> None:
    """A subscriber who hears something now and then outlives one who does not."""
    more = "timeouts: {idle: 4s}"
    async with redis(tmp_path, "one") as (one,), in_front_of(tmp_path, one.port, more=more) as (_, port):
        async with conversation(port) as (heard, listener), conversation(port) as (nothing, silent):
            for reader, writer, channel in ((heard, listener, "news"), (nothing, silent, "nothing")):
                writer.write(command("SUBSCRIBE", channel))
                assert (await reader.readuntil(b":1\r\n")).startswith(b"*3\r\n$9\r\nsubscribe\r\n")
            silence = asyncio.get_running_loop().create_task(nothing.read())
            told = 0
            while not silence.done():
                assert await tell(one.port, "PUBLISH", "news", "x") == b":1\r\n"
                told += 1
                await asyncio.wait([silence], timeout=0.25)
            with pytest.raises(ConnectionResetError):
                await silence
            listener.write(command("UNSUBSCRIBE"))
            listener.write_eof()
            assert (await heard.read()).count(b"$7\r\nmessage\r\n") == told
        await until(lambda: ended(tmp_path, 2))
        assert sorted(one["response_flags"] for one in logged(tmp_path)) == ["-", "UT"]


async def test_an_instance_that_is_killed_costs_only_its_own_connections(tmp_path: Path) -> None:
    """Those end; whoever connects is served by the other, and by both when it is back."""
    async with redis(tmp_path, "one", "two") as (one, two):
        await tell(one.port, "SET", "who", "one")
        await tell(two.port, "SET", "who", "two")
        async with in_front_of(tmp_path, one.port, two.port) as (sidecar, port):
            async with conversation(port) as first, conversation(port) as second:
                ends = {await who(*end): end for end in (first, second)}
                assert sorted(ends) == [b"one", b"two"]
                one.child.kill()
                assert await ends[b"one"][0].read() == b""
                for _ in range(10):
                    async with conversation(port) as anew:
                        assert await who(*anew) == b"two"
                assert await states(sidecar) == {one.port: "quarantined", two.port: "available"}
                await one.start()

                async def both() -> bool:
                    return set((await states(sidecar)).values()) == {"available"}

                await until(both)
                assert await who(*ends[b"two"]) == b"two"
            answered = set()
            for _ in range(4):
                async with conversation(port) as anew:
                    answered.add(await who(*anew))
            assert answered == {b"one", b"two"}


async def who(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """The server's name."""
    writer.write(command("GET", "who"))
    await reader.readline()
    return (await reader.readline()).strip()


async def states(sidecar: SidecarProcess) -> dict[int, str]:
    (cluster,) = await sidecar.clusters()
    return {int(one["address"].rpartition(":")[2]): one["state"] for one in cluster["endpoints"]}


async def test_drain_waits_for_a_transaction_and_for_whoever_still_comes(tmp_path: Path) -> None:
    """SIGTERM in the middle of MULTI: it is executed, others are served, and the process leaves after the last one."""
    async with redis(tmp_path, "one") as (one,), in_front_of(tmp_path, one.port) as (sidecar, port):
        async with conversation(port) as (reader, writer):
            writer.write(command("MULTI") + command("INCR", "n"))
            assert [await reader.readline() for _ in range(2)] == [b"+OK\r\n", b"+QUEUED\r\n"]
            sidecar.child.signal(signal.SIGTERM)
            await sidecar.event("drain_started")
            assert await tell(port, "PING") == b"+PONG\r\n"
            writer.write(command("EXEC"))
            assert [await reader.readline() for _ in range(2)] == [b"*1\r\n", b":1\r\n"]
            assert sidecar.child.exit_code is None
        assert await sidecar.child.ended() == 0
        assert [one["response_flags"] for one in logged(tmp_path)] == ["-", "-"]


async def test_grpc_talks_both_ways_at_once(tmp_path: Path) -> None:
    """Messages of any size, streams of either side, an end of the client's side to which the server still answers."""
    large = bytes(range(256)) * (16 * 1024)
    async with GrpcEcho("one") as one, in_front_of(tmp_path, one.port) as (_, port), channel_to(port) as channel:
        assert await chatting(channel, [b"", b"a", large, large, b"z"]) == [b"", b"a", large, large, b"z", b"end"]


async def test_a_grpc_server_that_stops_in_order_costs_no_call(tmp_path: Path) -> None:
    """GOAWAY: the client opens another connection, which goes to the other server; so on when that one goes and this is back."""
    async with (
        GrpcEcho("one") as one,
        GrpcEcho("two") as two,
        in_front_of(tmp_path, one.port, two.port) as (_, port),
        channel_to(port) as channel,
    ):
        name = channel.unary_unary(GrpcEcho.NAME)
        servers = {b"one": one, b"two": two}
        first = await name(b"")
        (second,) = servers.keys() - {first}
        await servers[first].stop()
        assert [await name(b"", wait_for_ready=True) for _ in range(20)] == [second] * 20
        await servers[first].start()
        await servers[second].stop()
        assert [await name(b"", wait_for_ready=True) for _ in range(20)] == [first] * 20


async def test_a_grpc_stream_that_is_read_slowly_is_sent_slowly(tmp_path: Path) -> None:
    """The server gets no further ahead of the client than the windows and buffers on the way."""
    async with GrpcEcho("one") as one, in_front_of(tmp_path, one.port) as (sidecar, port):
        before = kept(sidecar.child.pid).resident
        async with channel_to(port) as channel:
            await slowly_read(channel, one)
            assert kept(sidecar.child.pid).resident - before < 4 * MIB
