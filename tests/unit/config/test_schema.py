"""The JSON Schema."""

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from sidecar.config.schema import schema_text
from tests.support.configs import MINIMAL, refusal, service

FOLDER = Path(__file__).parents[3] / "config"
SCHEMA: dict[str, Any] = json.loads(schema_text())


def accepted(text: str) -> bool:
    return bool(jsonschema.Draft7Validator(SCHEMA).is_valid(yaml.safe_load(text)))


def test_the_schema_that_ships_is_the_one_that_is_drawn() -> None:
    """To the byte; `nacos-sidecar schema > config/sidecar.schema.json` brings it up to date."""
    assert (FOLDER / "sidecar.schema.json").read_text(encoding="utf-8") == schema_text()


def test_it_is_a_valid_schema() -> None:
    """By the rules of its own draft."""
    jsonschema.Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", ["sidecar.example.yaml", "minimal.yaml", "static.yaml"])
def test_it_accepts_the_examples(name: str) -> None:
    """An editor underlines nothing in them."""
    assert accepted((FOLDER / name).read_text())


@pytest.mark.parametrize(
    "body",
    [
        "via: ${VIA}",
        'retry: {num_retries: "${N:-2}", on_ambiguous: close}',
        "timeouts: {response: null, connect: '1.5s'}",
        "outlier_detection: {max_ejected: 50%, consecutive_5xx: '3'}",
        "discovery: {metadata: {a: b}}",
        "hosts: ['*.a', 'b:80']",
        "listen: '[::1]:80'",
        "keepalive:",
    ],
)
def test_what_loads_is_accepted(tmp_path: Path, body: str) -> None:
    """Variables may stand for any value, and a key without a value is its default."""
    text = service(body)
    assert accepted(text)
    assert [line for line in refusal(tmp_path, text, {"VIA": "true"}) if "warning" not in line] == []


@pytest.mark.parametrize(
    "body",
    [
        "timout: 1s",
        "retry: {num_retries: 50}",
        "timeouts: {connect: 10 seconds}",
        "timeouts: {connect: 10}",
        "protection: {on_empty: no-idea}",
        "hosts: orders",
        "hosts: ['http://a']",
        "listen: 80",
        "limits: {max_headers: 0}",
        "via: maybe",
    ],
)
def test_what_is_refused_is_underlined(tmp_path: Path, body: str) -> None:
    """Unknown keys, ranges, words and patterns."""
    assert not accepted(service(body))
    assert refusal(tmp_path, service(body))


def test_required_keys_are_required() -> None:
    """The version, the services and their names; nothing else."""
    assert accepted(MINIMAL)
    assert not accepted("services: [{name: a}]")
    assert not accepted("version: 1\nservices: [{}]")
    assert not accepted("version: 1\nservices: []")
