"""Sentences about refused values."""

from pathlib import Path

import pytest

from tests.support.configs import MINIMAL, refusal, service


def message(folder: Path, text: str) -> str:
    (line,) = refusal(folder, text)
    return line.split(": ", 2)[2]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("via: maybe", "expected true or false, got 'maybe'"),
        ("timeouts: {response: 10}", "expected a duration such as 250ms, 10s or 5m, or null, got 10"),
        ("timeouts: {connect: 0s}", "expected a duration above zero, such as 250ms, 10s or 5m, got '0s'"),
        ("timeouts: []", "expected a mapping of keys, got a list"),
        ("tls: x", "expected a mapping of keys, or null, got 'x'"),
        ("hosts: orders", "expected a list, or null, got 'orders'"),
        ("hosts: [{a: b}]", "expected a host such as orders, orders:8080 or '*.orders.local', got a mapping"),
        (
            "hosts: [1.50]",
            "expected a host such as orders, orders:8080 or '*.orders.local', got 1.50: put it in quotes",
        ),
        ("discovery: {group: no}", "expected text, got no: put it in quotes"),
        ("discovery: {metadata: {zone: 1.10}}", "expected text, got 1.10: put it in quotes"),
        ("discovery: {clusters: [a, ~]}", "expected text, got null"),
        ("discovery: {static: []}", "expected at least one entry, got an empty list"),
        ("protection: {on_empty: hodl}", "expected hold or obey, got 'hodl' (did you mean 'hold'?)"),
        ("limits: {max_header_bytes: 2MiB}", "expected a size from 1KiB to 1MiB, got '2MiB'"),
        ("retrys: {}", "unknown key 'retrys' (did you mean 'retry'?)"),
        ("connect: 1s", "unknown key 'connect' (did you mean 'timeouts.connect'?)"),
        ("wait_for_instance: {xyz: 1}", "unknown key 'xyz' (known here: timeout, max_queued)"),
    ],
)
def test_a_message_has_value_expectation_and_remedy(tmp_path: Path, body: str, expected: str) -> None:
    """Each kind of mistake, in the words that a user reads."""
    assert message(tmp_path, service(body)) == expected


def test_a_long_value_is_cut(tmp_path: Path) -> None:
    """A pasted certificate does not fill the screen."""
    assert len(message(tmp_path, service(f"listen: {'x' * 5000}"))) < 200


def test_a_secret_is_never_repeated(tmp_path: Path) -> None:
    """Not even when its type is wrong."""
    text = MINIMAL + "nacos: {password: 123456}\n"
    assert message(tmp_path, text) == "expected text, or null: put it in quotes"


@pytest.mark.parametrize("servers", ["http://nacos:hunter2@nacos:8848", "[a:1, 'https://nacos:hunter2@b']"])
def test_the_password_in_a_url_is_not_repeated(tmp_path: Path, servers: str) -> None:
    """Such a message is an event, too, which whoever may read logs reads."""
    told = message(tmp_path, f"{MINIMAL}nacos: {{server_addresses: {servers}}}\n")
    assert "***@" in told
    assert "hunter2" not in told


def test_several_mistakes_in_one_section_are_all_named(tmp_path: Path) -> None:
    """The first does not hide the second."""
    assert len(refusal(tmp_path, service("retry:\n  num_retries: x\n  retry_on: [a, stall, b]\n  foo: 1"))) == 4
