"""What is known of a finished request."""

import dataclasses

import pytest

from sidecar.record import AttemptRecord, Record


def test_records_are_values_without_a_dictionary() -> None:
    """They are frozen and slotted: one is made for each logged request."""
    attempt = AttemptRecord("10.0.0.1:80", "refused", 3)
    assert attempt == AttemptRecord("10.0.0.1:80", "refused", 3)
    assert not hasattr(attempt, "__dict__")
    with pytest.raises(dataclasses.FrozenInstanceError):
        attempt.ms = 4  # type: ignore[misc]


def test_a_record_holds_every_field_of_the_access_log() -> None:
    """Each field of the contract's JSON line has its source here."""
    fields = {field.name for field in dataclasses.fields(Record)}
    assert fields == {
        "started",
        "service",
        "method",
        "path",
        "protocol",
        "code",
        "flags",
        "details",
        "bytes_received",
        "bytes_sent",
        "duration",
        "upstream_time",
        "endpoint",
        "attempts",
        "tries",
        "rescued_by",
        "authority",
        "user_agent",
        "request_id",
        "forwarded_for",
        "trace_id",
    }
