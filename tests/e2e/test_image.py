"""The container image, built from the tree and run with no more rights than the pod example gives it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar import __version__
from tests.support.containers import ROOT, TOOLS, build_image, in_a_pod, podman
from tests.support.needs import find, missing, require

CONFIG = """\
version: 1
services:
  - name: order-service
    listen: 127.0.0.1:15101
    discovery: {static: ["127.0.0.1:9"]}
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    require(*TOOLS)
    if sys.version_info[:2] != (3, 11):
        missing("wheels made by this Python do not fit the 3.11 of the base image")
    return build_image(tmp_path_factory.mktemp("context"))


@pytest.fixture
def mounted(tmp_path: Path) -> str:
    """The option that mounts a configuration where the image looks for it."""
    (tmp_path / "sidecar.yaml").write_text(CONFIG)
    tmp_path.chmod(0o755)
    return f"--volume={tmp_path}:/etc/nacos-sidecar:ro"


@pytest.fixture
def running(image: str, mounted: str) -> Iterator[str]:
    """The id of a container that carries traffic."""
    started = in_a_pod("--detach", mounted, image)
    assert started.returncode == 0, started.stderr
    container = started.stdout.strip()
    yield container
    podman("rm", "--force", container)


@pytest.mark.needs("hadolint")
@pytest.mark.parametrize("dockerfile", ["Dockerfile", "deploy/redirect/Dockerfile"])
def test_a_dockerfile_passes_its_linter(dockerfile: str) -> None:
    """No finding of hadolint, at any level."""
    linter = str(find("hadolint"))
    result = subprocess.run([linter, dockerfile], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_the_image_says_how_it_wants_to_be_run(image: str) -> None:
    """Its entry point is the command itself, `run` its default, its user numbered, its end a SIGTERM."""
    (inspected,) = json.loads(podman("inspect", image).stdout)
    config = inspected["Config"]
    assert (config["Entrypoint"], config["Cmd"]) == (["nacos-sidecar"], ["run"])
    assert (config["User"], config["StopSignal"]) == ("65532:65532", "SIGTERM")
    assert "SIDECAR_CONFIG=/etc/nacos-sidecar/sidecar.yaml" in config["Env"]


def test_the_command_runs_without_a_writable_root(image: str) -> None:
    """`--version` answers the version of the tree."""
    result = in_a_pod("--rm", image, "--version")
    assert (result.returncode, result.stdout) == (0, f"nacos-sidecar {__version__}\n"), result.stderr


def test_every_compiled_dependency_finds_its_libraries(image: str) -> None:
    """The base image has what the wheels were linked against."""
    imports = "import grpc, httptools, pydantic, uvloop, yaml, v2.nacos"
    result = in_a_pod("--rm", "--env", "HOME=/nowhere", "--entrypoint", "python3", image, "-c", imports)
    assert result.returncode == 0, result.stderr


def test_the_mounted_configuration_is_the_default(image: str, mounted: str) -> None:
    """`check` without an argument reads the mounted file."""
    result = in_a_pod("--rm", mounted, image, "check")
    assert result.returncode == 0, result.stdout + result.stderr


def test_it_becomes_ready_and_ends_cleanly_on_sigterm(running: str) -> None:
    """`wait` inside the container sees it ready; stopping it gives exit code 0, not the code of a kill."""
    ready = podman("exec", running, "nacos-sidecar", "wait", "--timeout", "20s", check=False)
    assert ready.returncode == 0, ready.stderr + podman("logs", running).stderr
    podman("stop", "--time", "30", running)
    (inspected,) = json.loads(podman("inspect", running).stdout)
    assert inspected["State"]["ExitCode"] == 0, podman("logs", running).stderr
