"""Where the memory of the sidecar comes from: what its parts add when they are imported one after another."""

import sys
from collections.abc import Iterator, Mapping

from tests.support.process import run

STEPS: Mapping[str, tuple[str, ...]] = {
    "the interpreter": (),
    "asyncio, with OpenSSL": ("asyncio",),
    "uvloop": ("uvloop",),
    "PyYAML": ("yaml",),
    "pydantic": ("pydantic.fields", "pydantic.type_adapter", "pydantic.plugin._loader"),
    "the configuration's model": ("sidecar.config.model",),
    "all else of ours": ("sidecar.cli", "sidecar.app.process", "sidecar.discovery.polling"),
    "gRPC": ("grpc", "grpc.aio"),
    "protobuf": ("google.protobuf.any_pb2", "google.protobuf.timestamp_pb2"),
    "the registry client": ("sidecar.discovery.nacos", "sidecar.discovery.supervisor"),
}
"""What, and its modules. What an earlier step has loaded already is not counted again."""


_IMPORTER = """\
import sys
for step in sys.argv[1:]:
    for name in step.split():
        __import__(name)
    with open("/proc/self/status") as status:
        print(status.read().partition("VmRSS:")[2].split()[0])
"""
"""Imports nothing by itself."""


def grown() -> Iterator[tuple[str, int]]:
    """Resident bytes that each of `STEPS` adds, in a fresh process."""
    steps = (" ".join(modules) for modules in STEPS.values())
    sizes = [int(size) * 1024 for size in run(sys.executable, "-W", "ignore", "-c", _IMPORTER, *steps).stdout.split()]
    yield from zip(STEPS, (now - before for before, now in zip([0, *sizes], sizes, strict=False)), strict=True)
