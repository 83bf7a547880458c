"""A real Nacos server of the Java kind: one node on loopback, without a console and without login.

    async with NacosServer("2.3.2") as server:
        connect(server.address)
        await server.kill()
        await server.start()        # the same ports and the same disk, as after a crash

The fixture `nacos_server` gives a test one of each version in turn, shared by all tests of the run: leave it running.
Its gRPC port is `http_port + 1000`, as clients expect. It belongs to no event loop, so a fixture of any scope may
hold it. It takes 350 to 480 MiB, 8 to 12 s to start and 2 s to stop.
"""

import asyncio
import http.client
import json
import shutil
import ssl
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, get_args

import grpc
import pytest

from sidecar.clock import monotonic
from sidecar.embedded.tls import ServerTls
from sidecar.wire import Payload, decode, encode
from tests.support.java import SERVERS, TOOLS
from tests.support.needs import require
from tests.support.ports import free_port
from tests.support.process import Child
from tests.support.until import until

Version = Literal["3.1.0", "2.3.2"]

_RAFT, _GRPC, _CLUSTER_GRPC = -1000, 1000, 1001  # distances from the HTTP port
START_ATTEMPTS = 3
_START_LIMIT = 240.0  # for a very busy machine; 8 to 12 s is usual
_ANSWER_LIMIT = 20.0
_NO_LEADER = b"did not find the Leader node"
_ELECTION_PAUSE = 0.5
_JVM = ("-Xmx256m", "-Xss512k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_ALONE = ("-Dnacos.standalone=true",)
_TOGETHER = ("-DembeddedStorage=true", "-Dnacos.server.ip=127.0.0.1")

_COMMON = {
    "nacos.core.auth.enabled": "false",
    "nacos.core.auth.system.type": "nacos",
    "nacos.core.auth.server.identity.key": "fixture",
    "nacos.core.auth.server.identity.value": "fixture",
    "nacos.core.auth.plugin.nacos.token.secret.key": "c2lkZWNhci1maXh0dXJlLXNpZGVjYXItZml4dHVyZS1zaWRlY2Fy",
    "nacos.k8s.sync.enabled": "false",
    "server.tomcat.basedir": "file:.",
    "db.pool.config.connectionTimeout": "60000",  # the 3 s of its own are too few for Derby on a busy machine
    "management.metrics.export.elastic.enabled": "false",
    "management.metrics.export.influx.enabled": "false",
    "spring.autoconfigure.exclude": "org.springframework.boot.autoconfigure.jdbc.DataSourceAutoConfiguration",
}
_PROPERTIES: dict[Version, dict[str, str]] = {
    "3.1.0": {
        "nacos.core.auth.admin.enabled": "false",
        "nacos.core.auth.console.enabled": "false",
        "nacos.extension.ai.enabled": "false",
    },
    "2.3.2": {"server.servlet.context-path": "/nacos", "nacos.security.ignore.urls": "/**"},
}
_PORT_KEY: dict[Version, str] = {"3.1.0": "nacos.server.main.port", "2.3.2": "server.port"}
_WITH_USERS = {
    "nacos.core.auth.enabled": "true",
    "nacos.core.auth.admin.enabled": "true",
    "nacos.core.auth.caching.enabled": "true",
    "nacos.security.ignore.urls": "",
}
_RPC_TLS = "nacos.remote.server.rpc.tls"
_ADMIN_PATH: dict[Version, str] = {"3.1.0": "/v3/auth/user/admin", "2.3.2": "/v1/auth/users/admin"}
_LOGIN_PATH: dict[Version, str] = {"3.1.0": "/v3/auth/user/login", "2.3.2": "/v1/auth/users/login"}
_READINESS: dict[Version, str] = {
    "3.1.0": "/v3/admin/core/state/readiness",
    "2.3.2": "/v1/ns/instance/list?serviceName=nobody",
}


class NacosServer:
    """One node; `start`, `stop` and `kill` as often as a test likes, always on the ports it was born with."""

    def __init__(
        self,
        version: Version = "3.1.0",
        *,
        token_ttl: int | None = None,
        tls: ServerTls | None = None,
        niceness: int = 0,
    ) -> None:
        """`token_ttl` seconds: with users, of whom there is one, `nacos`, once `create_admin` was called.

        `tls`: on the gRPC port, which takes plain clients as well; on HTTP, where it is on, nobody's certificate is asked.
        """
        self.version = version
        self.members: tuple[str, ...] = ()
        """Addresses of all nodes of its cluster, its own among them; none = it is alone."""
        self._token_ttl = token_ttl
        self._tls = tls
        self._niceness = niceness
        self.http_port = free_port((0, _RAFT, _GRPC, _CLUSTER_GRPC))
        self._home = Path(tempfile.mkdtemp(prefix=f"nacos-{version}-"))
        self._child: Child | None = None

    def __repr__(self) -> str:
        return f"<NacosServer {self.version} {self.address} {self._child or 'not started'}>"

    @property
    def pid(self) -> int:
        """Of the process that was started last."""
        assert self._child is not None
        return self._child.pid

    @property
    def grpc_port(self) -> int:
        return self.http_port + _GRPC

    @property
    def address(self) -> str:
        """What a client is given as server address."""
        return f"127.0.0.1:{self.http_port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def start(self, *, empty: bool = False) -> None:
        """Returns when clients are served; `empty` forgets what the disk holds.

        On a busy machine a start may end in one of many time limits: hence several attempts.
        """
        for _ in range(START_ATTEMPTS):
            if await self.try_to_start(empty=empty):
                return
        raise RuntimeError(f"{self!r} did not start:\n{self.log_tail()}")

    async def try_to_start(self, *, empty: bool = False) -> bool:
        """One attempt; False when it ended instead."""
        if empty:
            shutil.rmtree(self._home / "data", ignore_errors=True)
        self._child = self._launch()
        return await self._comes_up(self._child)

    async def stop(self) -> None:
        """SIGTERM, and until it has ended."""
        if self._child:
            await self._child.terminate()

    async def kill(self) -> None:
        """SIGKILL: its clients see their connections close, and nothing else."""
        if self._child:
            self._child.kill()

    async def create_admin(self, password: str) -> str:
        """The user `nacos`; returns when a login succeeds, with its token."""
        await asyncio.to_thread(self.call, "POST", _ADMIN_PATH[self.version], {"password": password})
        tokens: list[str] = []

        async def logged_in() -> bool:
            form = {"username": "nacos", "password": password}
            status, body = await asyncio.to_thread(self.call, "POST", _LOGIN_PATH[self.version], form)
            tokens.extend([json.loads(body)["accessToken"]] if status == 200 else [])
            return bool(tokens)

        await until(logged_in, within=_START_LIMIT, pause=0.5)
        return tokens[0]

    def call(self, method: str, path: str, form: Mapping[str, str], token: str = "") -> tuple[int, bytes]:
        """(status, body) of one request; status 0 where the answer is not HTTP.

        Asked again while the nodes have not elected one of them to write: they serve readers before.
        """
        patience = monotonic() + _START_LIMIT
        while True:
            try:
                status, body = self._send(method, path, urllib.parse.urlencode(form).encode(), {"accessToken": token})
            except http.client.BadStatusLine:
                return 0, b""
            if _NO_LEADER not in body or monotonic() > patience:
                return status, body
            time.sleep(_ELECTION_PAUSE)

    def close(self) -> None:
        """Ends it at once and removes its folder."""
        if self._child:
            self._child.kill()
        shutil.rmtree(self._home, ignore_errors=True)

    def log_tail(self, lines: int = 60) -> str:
        """The last lines of its console."""
        return self._child.tail(lines) if self._child else ""

    async def instances(self, service: str, group: str = "DEFAULT_GROUP") -> set[str]:
        """The `ip:port` that its HTTP interface lists."""
        query = urllib.parse.urlencode({"serviceName": f"{group}@@{service}"})
        status, body = await asyncio.to_thread(self._get, f"/v1/ns/instance/list?{query}")
        if status != 200:
            raise RuntimeError(f"{self!r} answered {status}: {body!r}")
        return {f"{host['ip']}:{host['port']}" for host in json.loads(body)["hosts"]}

    def _launch(self) -> Child:
        folder = self._home / "conf"
        folder.mkdir(exist_ok=True)
        properties = {**_COMMON, **_PROPERTIES[self.version], _PORT_KEY[self.version]: str(self.http_port)}
        if self._token_ttl is not None:
            properties |= _WITH_USERS | {"nacos.core.auth.plugin.nacos.token.expire.seconds": str(self._token_ttl)}
        if self._tls is not None:
            properties |= _tls_properties(self._tls)
        if self.members and self.version == "3.1.0":
            properties["nacos.config.namespace.compatible.mode"] = "false"
        (folder / "application.properties").write_text("".join(f"{k}={v}\n" for k, v in properties.items()))
        (folder / "cluster.conf").write_text("".join(f"{member}\n" for member in self.members))
        command = SERVERS[self.version].command(
            *_JVM,
            *(_TOGETHER if self.members else _ALONE),
            f"-Dnacos.home={self._home}",
            f"-Duser.home={self._home}",
            "-Dnacos.deployment.type=server",
            f"-Dspring.config.additional-location=file:{folder}/",
        )
        return Child(command, log=self._home / "console.log", folder=self._home, niceness=self._niceness)

    async def _comes_up(self, child: Child) -> bool:
        """False when the process ended instead."""

        async def decided() -> bool:
            return child.exit_code is not None or await asyncio.to_thread(self._serves)

        try:
            await until(decided, within=_START_LIMIT, pause=0.1)
        except TimeoutError:
            child.kill()
        return child.exit_code is None

    def _serves(self) -> bool:
        """The HTTP interface is ready, and the gRPC one no longer answers "starting"."""
        try:
            status, _ = self._get(_READINESS[self.version])
            return status in {200, 403} and self._checks()
        except (OSError, grpc.RpcError):
            return False

    def _get(self, path: str) -> tuple[int, bytes]:
        return self._send("GET", path, None, {})

    def _send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        secure = self._tls is not None and self._tls.http
        scheme, unchecked = ("https", ssl._create_unverified_context()) if secure else ("http", None)
        request = urllib.request.Request(f"{scheme}://{self.address}/nacos{path}", body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=_ANSWER_LIMIT, context=unchecked) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, refusal.read()

    def _checks(self) -> bool:
        with grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}") as channel:
            ask = channel.unary_unary("/Request/request", request_serializer=encode, response_deserializer=decode)
            answer: Payload = ask(Payload("ServerCheckRequest", b'{"module":"internal"}'), timeout=_ANSWER_LIMIT)
        return answer.type == "ServerCheckResponse"


def _tls_properties(tls: ServerTls) -> dict[str, str]:
    """Each port has its own."""
    found = {
        f"{_RPC_TLS}.enableTls": "true",
        f"{_RPC_TLS}.certChainFile": f"file:{tls.cert_file}",
        f"{_RPC_TLS}.certPrivateKey": f"file:{tls.key_file}",
    }
    if tls.client_ca_file is not None:
        found[f"{_RPC_TLS}.mutualAuthEnable"] = "true"
        found[f"{_RPC_TLS}.trustCollectionCertFile"] = f"file:{tls.client_ca_file}"
    if tls.http:
        found["server.ssl.enabled"] = "true"
        found["server.ssl.certificate"] = f"file:{tls.cert_file}"
        found["server.ssl.certificate-private-key"] = f"file:{tls.key_file}"
    return found


@pytest.fixture(scope="session", params=get_args(Version))
def nacos_server(request: pytest.FixtureRequest) -> Iterator[NacosServer]:
    """A running server of each version in turn."""
    require(*TOOLS)
    server = NacosServer(request.param)
    try:
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            runner.run(server.start())
        yield server
    finally:
        server.close()
