"""The files that people deploy: schema, promises of the pod, and the configuration inside."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = sorted((ROOT / "deploy").glob("*.yaml"))


def documents(kind: str) -> list[dict[str, Any]]:
    every = [document for path in MANIFESTS for document in yaml.safe_load_all(path.read_text())]
    return [document for document in every if document["kind"] == kind]


@pytest.fixture(params=documents("Deployment"), ids=lambda deployment: deployment["metadata"]["name"])
def pod(request: pytest.FixtureRequest) -> dict[str, Any]:
    spec: dict[str, Any] = request.param["spec"]["template"]["spec"]
    return spec


@pytest.fixture
def sidecar(pod: dict[str, Any]) -> dict[str, Any]:
    container = pod["initContainers"][0]
    assert container["name"] == "nacos-sidecar"
    assert isinstance(container, dict)
    return container


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.name)
@pytest.mark.parametrize("version", ["1.29", "1.33", "1.37"])
def test_every_manifest_is_valid(manifest: Path, version: str) -> None:
    """No unknown field in any Kubernetes since native sidecars were on by default."""
    command = ("-m", "kubernetes_validate", "--strict", "--kubernetes-version", version, str(manifest))
    result = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_schema_check_sees_a_misspelt_field(tmp_path: Path) -> None:
    """The test above can fail."""
    text = MANIFESTS[0].read_text().replace("startupProbe:", "startupProb:", 1)
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(text)
    command = ("-m", "kubernetes_validate", "--strict", str(wrong))
    result = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    assert result.returncode != 0


def test_the_sidecar_is_a_native_one_that_starts_first_and_never_unreadies_the_app(sidecar: dict[str, Any]) -> None:
    """Start-up and liveness are asked; readiness and hooks stay out."""
    assert sidecar["restartPolicy"] == "Always"
    assert sidecar["startupProbe"]["httpGet"] == {"path": "/readyz", "port": "metrics"}
    assert sidecar["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "metrics"}
    assert not {"readinessProbe", "lifecycle"} & sidecar.keys()


def test_the_sidecar_has_no_right_that_it_does_not_need(sidecar: dict[str, Any]) -> None:
    """A numbered user, a read-only root, no capability."""
    context = sidecar["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"], context["runAsNonRoot"]) == (65532, 65532, True)
    assert context["readOnlyRootFilesystem"]
    assert not context["allowPrivilegeEscalation"]
    assert context["capabilities"] == {"drop": ["ALL"]}


REDIRECTS = [
    one["spec"]["template"]["spec"] for one in documents("Deployment") if one["metadata"]["name"] == "untouched-app"
]


@pytest.fixture
def redirect() -> dict[str, Any]:
    (spec,) = REDIRECTS
    _, container = spec["initContainers"]
    assert isinstance(container, dict)
    return container


def test_only_the_init_container_that_redirects_may_change_the_network(redirect: dict[str, Any]) -> None:
    """NET_ADMIN is there and nowhere else; it is root, and ends before the app begins."""
    context = redirect["securityContext"]
    assert context["capabilities"] == {"drop": ["ALL"], "add": ["NET_ADMIN"]}
    assert (context["runAsUser"], context["readOnlyRootFilesystem"]) == (0, True)
    assert "restartPolicy" not in redirect
    text = "".join(path.read_text() for path in MANIFESTS)
    assert text.count("add:") == text.count("add: [NET_ADMIN]") == 1


def test_the_rules_spare_the_sidecar_and_nobody_else(redirect: dict[str, Any]) -> None:
    """The user in the rules is the sidecar's; the app is another one."""
    (spec,) = REDIRECTS
    sidecar, (app,) = spec["initContainers"][0], spec["containers"]
    assert redirect["args"] == ["iptables", "--apply", "--uid", str(sidecar["securityContext"]["runAsUser"])]
    assert app["securityContext"]["runAsUser"] != sidecar["securityContext"]["runAsUser"]
    configs = {mount["name"] for container in spec["initContainers"] for mount in container["volumeMounts"]}
    assert "config" in configs


def test_what_is_mounted_can_change_or_be_written_where_it_must(pod: dict[str, Any], sidecar: dict[str, Any]) -> None:
    """The configuration is a whole folder; the lists and the temporary folder outlive a container, not the pod."""
    kinds = {volume["name"]: set(volume) - {"name"} for volume in pod["volumes"]}
    mounts = {mount["mountPath"]: kinds[mount["name"]] for mount in sidecar["volumeMounts"]}
    assert mounts == {
        "/etc/nacos-sidecar": {"configMap"},
        "/var/lib/nacos-sidecar": {"emptyDir"},
        "/tmp": {"emptyDir"},
    }
    assert not any("subPath" in mount for mount in sidecar["volumeMounts"])


def test_the_grace_period_leaves_time_for_the_drain(pod: dict[str, Any]) -> None:
    """25 s of drain and five to spare."""
    assert pod["terminationGracePeriodSeconds"] >= 25 + 5


@pytest.mark.parametrize("config_map", documents("ConfigMap"), ids=lambda document: document["metadata"]["name"])
def test_the_mounted_configuration_is_accepted(config_map: dict[str, Any], tmp_path: Path) -> None:
    """`check --strict` finds neither an error nor a warning in it."""
    file = tmp_path / "sidecar.yaml"
    file.write_text(config_map["data"]["sidecar.yaml"])
    command = ("-m", "sidecar", "check", "--strict", "--config", str(file))
    result = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_redirect_is_to_the_listener_of_the_configuration(tmp_path: Path) -> None:
    """What the init container would apply."""
    (config_map,) = (one for one in documents("ConfigMap") if "transparent" in one["data"]["sidecar.yaml"])
    file = tmp_path / "sidecar.yaml"
    file.write_text(config_map["data"]["sidecar.yaml"])
    command = ("-m", "sidecar", "iptables", "--print", "--config", str(file))
    result = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "-j REDIRECT --to-ports 15006" in result.stdout
