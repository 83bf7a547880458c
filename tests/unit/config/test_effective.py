"""The configuration in force, written out."""

import json
from pathlib import Path

from sidecar.config.effective import effective, effective_yaml
from sidecar.config.model import Config
from tests.support.configs import MINIMAL, config, loaded, service


def test_it_loads_as_the_same_configuration(tmp_path: Path) -> None:
    """Defaults, merges, variables and dollar signs included."""
    text = service(
        "retry: {per_try_timeout: 1500us}\nhosts: ['${H}', '*.x']\ndiscovery: {metadata: {a: $$1, b: 'no'}}\ntimeouts: {response: ~}"
    )
    text += "defaults: {via: true, outlier_detection: {max_ejected: 50%}}\nnacos: {namespace: ''}\n"
    first = loaded(tmp_path, text, {"H": "h", "SIDECAR_PREFER_CLUSTER": "z"}).config
    assert config(tmp_path, effective_yaml(first)) == first
    assert first.services[0].load_balancing.prefer_cluster == "z"


def test_a_static_service_loads_again(tmp_path: Path) -> None:
    """The keys that exclude one another are not both written."""
    first = config(tmp_path, service("discovery: {static: ['a:1']}"))
    assert effective(first)["services"][0]["discovery"] == {"static": ["a:1"]}
    assert config(tmp_path, effective_yaml(first)) == first


def test_a_tcp_service_loads_again(tmp_path: Path) -> None:
    """What the defaults say of requests is not written on it, where it would be an error."""
    text = service("protocol: tcp\nlisten: 127.0.0.1:5432\ndiscovery: {static: ['a:1']}")
    first = config(
        tmp_path, text + "defaults: {via: true, outlier_detection: {consecutive_5xx: 7, max_ejected: 50%}}\n"
    )
    shown = effective(first)["services"][0]
    assert "via" not in shown
    assert "consecutive_5xx" not in shown["outlier_detection"]
    again = config(tmp_path, effective_yaml(first))
    assert effective(again) == effective(first)
    assert again.services[0].outlier_detection.max_ejected == first.services[0].outlier_detection.max_ejected


def test_secrets_are_stars() -> None:
    """In YAML and in the dump of the admin port."""
    values = {"version": 1, "services": [{"name": "a"}], "nacos": {"password": "hush", "secret_key": "hush"}}
    shown = effective_yaml(Config.model_validate(values))
    assert "hush" not in shown
    assert shown.count("'***'") == 2


def test_it_is_plain_json_as_well(tmp_path: Path) -> None:
    """No object of ours is left in it."""
    assert json.loads(json.dumps(effective(config(tmp_path, MINIMAL))))["drain"] == {"timeout": "25s", "quiet": "1s"}
