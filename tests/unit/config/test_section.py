"""Sections: unknown keys, nulls, shapes."""

import pytest
from pydantic import ValidationError

from sidecar.config import kinds
from sidecar.config.model import Config, Nacos
from sidecar.config.section import leaves, shapes, shown
from sidecar.config.service import Discovery, Keepalive, Timeouts


def test_a_null_that_means_nothing_means_the_default() -> None:
    """Where null is a value it stays one."""
    assert Keepalive.model_validate({"max_idle_per_endpoint": None}) == Keepalive()
    assert Timeouts.model_validate({"response": None}).response is None


def test_a_quoted_null_reads_as_null_where_text_would_not_do() -> None:
    """`"${X:-null}"` inside brackets is the only way to write it there."""
    assert Timeouts.model_validate({"response": "null"}).response is None
    assert Nacos.model_validate({"username": "null"}).username == "null"


def test_a_section_does_not_change() -> None:
    """A configuration in force stays what was loaded."""
    with pytest.raises(ValidationError, match="frozen"):
        Timeouts().connect = 2.0  # type: ignore[misc]


def test_a_list_may_be_a_text_with_commas_where_the_contract_says_so() -> None:
    """Registry servers both ways; other lists only as lists."""
    assert Nacos.model_validate({"server_addresses": "a, b:1"}) == Nacos.model_validate(
        {"server_addresses": ["a", "b:1"]}
    )
    with pytest.raises(ValidationError):
        Discovery.model_validate({"clusters": "a,b"})


def test_shapes_tell_what_a_field_holds() -> None:
    """Kinds, sections, lists and mappings are told apart, null or not."""
    found = shapes(Discovery)
    assert found["metadata"].values is not None
    assert found["static"].nullable
    assert found["static"].items is not None
    assert found["static"].items.kind is kinds.REMOTE
    assert shapes(Config)["nacos"].section is Nacos
    assert shapes(Nacos)["server_addresses"].comma


def test_leaves_are_all_fields_that_hold_no_section() -> None:
    """Each with its place; an absent section is a leaf of its own."""
    found = {loc: value for loc, _, value in leaves(Nacos(), ("nacos",))}
    assert found["nacos", "namespace"] == "public"
    assert found["nacos", "tls"] is None


def test_values_are_shown_as_they_are_written() -> None:
    """Durations with units, secrets as stars, dollar signs escaped."""
    nacos = Nacos.model_validate({"password": "hush", "namespace": "$x", "open_timeout": "1500ms"})
    written = {name: shown(shape, getattr(nacos, name)) for name, shape in shapes(Nacos).items()}
    assert (written["password"], written["namespace"], written["open_timeout"]) == ("***", "$$x", "1500ms")
