"""Official clients that are not Java's, as processes that take orders (`LineClient`)."""

import fcntl
import hashlib
import shutil
import sys
from pathlib import Path

from tests.support.java_client import LineClient
from tests.support.process import run

_ROOT = Path(__file__).resolve().parents[2]
_FIXTURES = _ROOT / "tests" / "fixtures"
_CACHE = _ROOT / ".cache" / "node"

NODE_TOOLS = ("node", "npm")


class PythonClient(LineClient):
    """nacos-sdk-python: gRPC."""

    def __init__(self, registry: str, *, folder: Path, login: tuple[str, str] | None = None) -> None:
        home = folder / "python"
        home.mkdir(parents=True, exist_ok=True)
        program = str(_FIXTURES / "python" / "nacos_client.py")
        super().__init__([sys.executable, program, registry, "", str(home), *(login or ())], home)


class NodeClient(LineClient):
    """The npm package `nacos`: HTTP, as clients of 1.x."""

    def __init__(self, registry: str, *, folder: Path) -> None:
        home = folder / "node"
        home.mkdir(parents=True, exist_ok=True)
        super().__init__(["node", str(node_home() / "client.js"), registry, ""], home)


def node_home() -> Path:
    """Where the program and its packages are; npm brings 8 MB the first time."""
    files = [_FIXTURES / "node" / name for name in ("package.json", "client.js")]
    digest = hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:12]
    home = _CACHE / f"client-{digest}"
    _CACHE.mkdir(parents=True, exist_ok=True)
    with (_CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.exists():
            stage = _CACHE / "stage"
            shutil.rmtree(stage, ignore_errors=True)
            stage.mkdir()
            for file in files:
                shutil.copy(file, stage)
            run("npm", "install", "--prefix", str(stage), "--no-audit", "--no-fund", "--no-package-lock", "--silent")
            stage.rename(home)
    return home
