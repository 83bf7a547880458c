"""The image of the project on a machine without a registry: built by buildah, run by podman, as a pod would run it.

The base image is Debian's own Python, put together by mmdebstrap once and kept in `.cache/containers`, which is also
where the two tools keep their storage, so nothing of it is seen outside this tree. Nothing is fetched while building:
the wheels lie in the build context.
"""

import logging
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.process import run

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("mmdebstrap", "buildah", "podman", "runc", "root")
IMAGE = "localhost/nacos-sidecar"

_log = logging.getLogger("tests")
_CACHE = ROOT / ".cache" / "containers"
_STORAGE = ("--root", str(_CACHE / "storage"), "--runroot", str(_CACHE / "run"))
_BASE = "localhost/python-base"
_PACKAGES = "python3,python3-pip,ca-certificates,libstdc++6"  # the last for grpcio
_CONTEXT = ("Dockerfile", "pyproject.toml", "constraints.txt", "README.md")
# Debian's crun fails where control groups are half old, half new; runc wants its limits named.
_RUNTIME = ("--runtime", "runc", "--cgroup-manager", "cgroupfs")
_POD = (
    *("--pull", "never", "--network", "none", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096"),
    *("--read-only", "--read-only-tmpfs=false", "--tmpfs", "/tmp:mode=1777"),
    *("--cap-drop", "all", "--security-opt", "no-new-privileges"),
)


def podman(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return run("podman", *_STORAGE, *_RUNTIME, *arguments, check=check)


def in_a_pod(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`podman run` with the rights of the pod example: no network but loopback, no capability, a read-only root."""
    return podman("run", *_POD, *arguments, check=False)


def build_image(folder: Path) -> str:
    """The image of the tree as it stands; `folder` becomes the build context."""
    make_base()
    for name in _CONTEXT:
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "sidecar", folder / "sidecar", ignore=shutil.ignore_patterns("__pycache__"))
    _collect_wheels(folder)
    arguments = {"BASE": _BASE, "PIP_OPTIONS": "--no-index --find-links wheels"}
    values = [text for name, value in arguments.items() for text in ("--build-arg", f"{name}={value}")]
    run("buildah", *_STORAGE, "bud", "--isolation", "chroot", "--pull-never", *values, "--tag", IMAGE, str(folder))
    return IMAGE


def make_base() -> None:
    """Half a minute, once."""
    if podman("image", "exists", _BASE, check=False).returncode == 0:
        return
    _CACHE.mkdir(parents=True, exist_ok=True)
    _log.info("the base image: mmdebstrap brings its packages")
    archive = _CACHE / "base.tar"
    run("mmdebstrap", "--quiet", "--variant=essential", f"--include={_PACKAGES}", "bookworm", str(archive))
    podman("import", str(archive), _BASE)
    archive.unlink()
    _log.info("the base image: built")


def _collect_wheels(folder: Path) -> None:
    """Those of the project's dependencies, and of what builds its own."""
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--constraint", str(ROOT / "constraints.txt"))
    run(*pip, "--wheel-dir", str(folder / "wheels"), str(folder), "hatchling")
