"""Every way a request can die."""

import re

import pytest

from sidecar.errors import ATTEMPT_FAILURES, FAILURES, FLAG_ORDER, LOCAL_FAILURES, OUTCOMES, Blame, Failure, Sent

ROWS = list(FAILURES.values())

CONTRACT = {
    "refused": ("UF", 503),
    "unreachable": ("UF", 503),
    "connect_timeout": ("UF", 503),
    "tls": ("UF", 503),
    "reset": ("UR", 502),
    "closed": ("UC", 502),
    "response_timeout": ("UT", 504),
    "protocol": ("UPE", 502),
    "app_left": ("DC", 0),
    "no_instance": ("UH", 503),
    "queue_full": ("UO", 503),
    "too_many_requests": ("UO", 503),
    "too_many_connections": ("UO", 503),
    "no_service": ("NR", 502),
    "connect_method": ("NR", 501),
    "bad_request": ("DPE", 400),
    "head_timeout": ("DPE", 408),
    "uri_too_long": ("DPE", 414),
    "head_too_large": ("DPE", 431),
    "unknown_method": ("DPE", 501),
    "unknown_coding": ("DPE", 501),
    "unsupported_version": ("DPE", 505),
    "cut_by_drain": ("LR", 0),
}
"""What operators were promised: reason -> (flag, status), in the contract's order."""


def test_the_table_is_the_contract() -> None:
    """No reason is missing, none is new, flags and statuses agree, and so does the order."""
    assert {row.reason: (row.flag, row.status) for row in ROWS} == CONTRACT
    assert list(FAILURES) == list(CONTRACT)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.reason)
def test_a_local_answer_is_a_5xx_unless_the_app_was_at_fault(row: Failure) -> None:
    """Status 0 means no answer; 501 and 505 speak of the app's message too."""
    if row.status and row.blame is not Blame.APP:
        assert row.status >= 500


@pytest.mark.parametrize("reason", ["refused", "unreachable", "connect_timeout", "tls"])
def test_a_failed_connect_promises_that_nothing_was_sent(reason: str) -> None:
    """These four, and no other outcome of an attempt."""
    assert FAILURES[reason].sent is Sent.NOTHING
    assert {name for name, row in ATTEMPT_FAILURES.items() if row.sent is Sent.NOTHING} == {
        "refused",
        "unreachable",
        "connect_timeout",
        "tls",
    }


def test_outcomes_are_ok_and_the_failures_of_attempts() -> None:
    """What labels attempts is above the contract's line, `ok` first."""
    assert OUTCOMES[0] == "ok"
    assert OUTCOMES[1:] == tuple(ATTEMPT_FAILURES)
    assert not ATTEMPT_FAILURES.keys() & LOCAL_FAILURES.keys()


def test_the_flag_order_names_every_flag_once() -> None:
    """Flags are joined in this order; URX, which no row has, comes last."""
    assert len(set(FLAG_ORDER)) == len(FLAG_ORDER)
    assert set(FLAG_ORDER) == {row.flag for row in ROWS} | {"URX"}
    assert FLAG_ORDER[-1] == "URX"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.reason)
def test_reasons_are_safe_in_headers_and_labels(row: Failure) -> None:
    """Lower case words joined by underscores, flags in capitals; the repr shows flag, reason, status."""
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", row.reason)
    assert re.fullmatch(r"[A-Z]+", row.flag)
    assert repr(row) == f"<{row.flag} {row.reason} {row.status}>"


def test_the_tables_cannot_be_changed() -> None:
    """They are read from everywhere."""
    with pytest.raises(TypeError):
        FAILURES["refused"] = FAILURES["reset"]  # type: ignore[index]
