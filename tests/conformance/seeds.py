"""Where the guided play begins: each message of the tables of rules, and the judge of its kind."""

from collections.abc import Callable, Iterator, Mapping

from tests.conformance import readers, test_answers, test_requests

JUDGES: Mapping[str, Callable[[bytes], None]] = {
    "request": readers.judge_requests,
    "answer": lambda data: readers.judge_answer(b"GET", data),
    "answer to HEAD": lambda data: readers.judge_answer(b"HEAD", data),
}

LONGEST = 2000
"""Bytes of a message; what is over the limits takes long to read forty times, and little of it matters."""


def seeds() -> Iterator[tuple[str, bytes]]:
    """Kind, message."""
    for _, _, sent in test_requests.REFUSED:
        yield "request", sent[:LONGEST]
    for _, sent, _ in test_requests.PASSED:
        yield "request", sent[:LONGEST]
    for _, asked, answered, _ in (*test_answers.PASSED, *test_answers.UNTIL_CLOSE):
        yield "answer to HEAD" if asked == test_answers.HEAD else "answer", answered[:LONGEST]
    for _, answered in test_answers.REFUSED:
        yield "answer", answered[:LONGEST]
