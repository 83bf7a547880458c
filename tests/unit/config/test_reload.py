"""What differs between two configurations."""

from pathlib import Path

from sidecar.config.reload import Change, Op, compare
from tests.support.configs import MINIMAL, config, service


def changes(folder: Path, old: str, new: str) -> list[tuple[str, str]]:
    return [(change.op.value, change.path) for change in compare(config(folder, old), config(folder, new))]


def test_equal_configurations_differ_in_nothing(tmp_path: Path) -> None:
    """Whatever the text, the defaults written out, and the order of services."""
    assert changes(tmp_path, MINIMAL, service("via: false\nhosts: [orders]") + "drain: {timeout: 25000ms}\n") == []
    two = "version: 1\nservices: [{name: a}, {name: b}]\n"
    assert changes(tmp_path, two, "version: 1\nservices: [{name: b}, {name: a}]\n") == []


def test_a_changed_key_is_named(tmp_path: Path) -> None:
    """Of the process and of a service, which goes by its name."""
    new = service("retry: {num_retries: 3}\ndiscovery: {metadata: {a: b}}") + "nacos: {namespace: x}\n"
    assert changes(tmp_path, MINIMAL, new) == [
        ("change", "nacos.namespace"),
        ("change", "services[orders].discovery.metadata"),
        ("change", "services[orders].retry.num_retries"),
    ]


def test_a_default_shows_at_the_services_that_it_changes(tmp_path: Path) -> None:
    """And only there."""
    new = "version: 1\ndefaults: {via: true}\nservices: [{name: orders, via: false}, {name: b.c}]\n"
    old = "version: 1\nservices: [{name: orders}, {name: b.c}]\n"
    assert changes(tmp_path, old, new) == [("change", "services[b.c].via")]


def test_services_come_and_go(tmp_path: Path) -> None:
    """Dropped ones first; a new name is another service."""
    old = "version: 1\nservices: [{name: a}, {name: b}]\n"
    new = "version: 1\nservices: [{name: b}, {name: c}, {name: d}]\n"
    assert changes(tmp_path, old, new) == [("drop", "services[a]"), ("add", "services[c]"), ("add", "services[d]")]


def test_a_section_that_appears_is_added(tmp_path: Path) -> None:
    """From null to a mapping and back; a single value only changes."""
    old = config(tmp_path)
    new = old.model_copy(update={"facade": type(old).model_fields["nacos"].default, "listen": None})
    assert compare(old, new) == (Change(Op.CHANGE, "listen"), Change(Op.ADD, "facade"))
    assert compare(new, old) == (Change(Op.CHANGE, "listen"), Change(Op.DROP, "facade"))
