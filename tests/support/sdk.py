"""The unmodified nacos-sdk-python 3.2.0 as a client in tests, kept from leaving files, tasks and log handlers behind."""

import asyncio
import contextlib
import logging
import warnings
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from pathlib import Path
from types import CodeType
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what its import prints is not ours to fix
    from v2 import nacos
    from v2.nacos.common.nacos_exception import NacosException
    from v2.nacos.nacos_client import NacosClient
    from v2.nacos.transport.grpcauto import nacos_grpc_service_pb2
    from v2.nacos.utils.net_util import NetUtils

from tests.support.until import PATIENCE

__all__ = [
    "NacosClient",
    "NacosException",
    "Subscriber",
    "connection_id",
    "deregister",
    "nacos",
    "nacos_grpc_service_pb2",
    "query",
    "register",
]
__all__ += ["closed_client", "messages", "sdk_client", "silence", "subscribe", "tasks"]

_SDK = str(Path(nacos.__file__).parent)
_LOG = logging.getLogger("naming")


class Subscriber:
    """Collects the lists of one subscription as sets of `ip:port`."""

    def __init__(self) -> None:
        self.lists: asyncio.Queue[set[str]] = asyncio.Queue()

    async def callback(self, instances: list[Any]) -> None:
        self.lists.put_nowait(_addresses(instances))

    async def next(self, within: float = PATIENCE) -> set[str]:
        async with asyncio.timeout(within):
            return await self.lists.get()


def _configured(address: str, folder: Path) -> Any:
    """A `ClientConfig` with files in `folder`, time for every request, and no list from disk."""
    return (
        nacos.ClientConfigBuilder()
        .server_address(address)
        .log_dir(str(folder / "log"))
        .cache_dir(str(folder / "cache"))
        .log_level(logging.CRITICAL)
        .grpc_config(nacos.GRPCConfig(grpc_timeout=10_000))
        .load_cache_at_start(False)
        .build()
    )


@contextlib.asynccontextmanager
async def closed_client(
    address: str, folder: Path, *, keep_empty: bool = True, tune: Callable[[Any], object] = lambda _: None
) -> AsyncIterator[Any]:
    """A `NacosNamingService` that is not opened; `keep_empty=False` is the SDK's default of dropping empty lists.

    `tune` may change the configuration before it is used.
    """
    NetUtils.get_local_ip = staticmethod(lambda: "127.0.0.1")  # the original raises on a loopback-only host
    before = asyncio.all_tasks()
    config = _configured(address, folder)
    config.set_update_cache_when_empty(keep_empty)
    tune(config)
    known = tuple(_LOG.handlers)
    service = nacos.NacosNamingService(config)
    _close_log_files(known)
    try:
        yield service
    finally:
        with contextlib.suppress(AttributeError):  # where it was never opened
            await service.shutdown()
        await _end_leftovers(before)
        silence(known)


@contextlib.asynccontextmanager
async def sdk_client(
    address: str, folder: Path, *, keep_empty: bool = True, tune: Callable[[Any], object] = lambda _: None
) -> AsyncIterator[Any]:
    """The same, connected if the server lets it."""
    async with closed_client(address, folder, keep_empty=keep_empty, tune=tune) as service:
        await service.grpc_client_proxy.start()
        yield service


@contextlib.contextmanager
def messages() -> Iterator[list[str]]:
    """What the SDK writes to its log in the block, at the level that its configuration asks for."""
    written: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(record.getMessage())

    handler = Handler()
    _LOG.addHandler(handler)
    try:
        yield written
    finally:
        _LOG.removeHandler(handler)


def tasks() -> set[str]:
    """Coroutines of the SDK that run at present, by name."""
    return {getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks() if _is_of_the_sdk(task)}


async def subscribe(client: Any, service: str) -> Subscriber:
    """Subscribes in DEFAULT_GROUP."""
    subscriber = Subscriber()
    await client.subscribe(nacos.SubscribeServiceParam(service_name=service, subscribe_callback=subscriber.callback))
    return subscriber


async def register(client: Any, service: str, ip: str, port: int) -> None:
    """Registers one ephemeral instance."""
    await client.register_instance(nacos.RegisterInstanceParam(service_name=service, ip=ip, port=port))


async def deregister(client: Any, service: str, ip: str, port: int) -> None:
    await client.deregister_instance(nacos.DeregisterInstanceParam(service_name=service, ip=ip, port=port))


async def query(client: Any, service: str) -> set[str]:
    """The list past the client's cache, as `ip:port`."""
    answer = await client.grpc_client_proxy.query_instance_of_service(service, "DEFAULT_GROUP", "", False)
    return _addresses(answer.hosts)


def connection_id(client: Any) -> str:
    """The id that the server gave to the client's connection of now."""
    return str(client.grpc_client_proxy.rpc_client.current_connection.connection_id)


def silence(known: Collection[logging.Handler]) -> None:
    """Takes back what clients did to their log since it had only the `known` handlers."""
    _close_log_files(known)
    _LOG.propagate = True
    _LOG.setLevel(logging.CRITICAL)


def _close_log_files(known: Collection[logging.Handler]) -> None:
    for handler in tuple(_LOG.handlers):
        if handler not in known:
            _LOG.removeHandler(handler)
            handler.close()


def _addresses(instances: list[Any]) -> set[str]:
    return {f"{one.ip}:{one.port}" for one in instances}


async def _end_leftovers(before: set[asyncio.Task[Any]]) -> None:
    mine = [task for task in asyncio.all_tasks() - before if _is_of_the_sdk(task)]
    for task in mine:
        task.cancel()
    await asyncio.gather(*mine, return_exceptions=True)


def _is_of_the_sdk(task: asyncio.Task[Any]) -> bool:
    code: CodeType | None = getattr(task.get_coro(), "cr_code", None)
    return code is not None and code.co_filename.startswith(_SDK)
