"""Why the tests of the rules can be believed: the second half of docs/reference/http.md."""

from collections import Counter
from collections.abc import Iterator

from tests.conformance.test_corpora import (
    INVALID,
    INVALID_COUNT,
    OWN_COUNT,
    STRICTER,
    STRICTER_COUNT,
    VALID,
    VALID_COUNT,
    Difference,
)
from tests.conformance.without_rule import OMISSIONS
from tests.support.corpora import GUNICORN, H11, WAITRESS

_WITHOUT = """
## That a test would notice

A test that passes proves little until it has failed. Each row is a rule taken out of the running product: the words on
the left become those on the right, and a test of that rule in the table above must fail then.
`tests/conformance/test_without_rule.py` does it in every run.

| id | where | with the rule | without |
|---|---|---|---|
"""

_COLLECTIONS = f"""
## Published collections

Brought by pip when the tests run, by version and hash, and never kept in the tree. Each vector goes over the wire whole,
byte by byte and in pieces. An invalid one is refused and no whole request reaches the instance; a valid one reaches it
once, and equal. `tests/conformance/test_corpora.py` holds the table of what we decide otherwise.

| collection | vectors | decided alike | decided otherwise |
|---|---|---|---|
| gunicorn {GUNICORN.version}, invalid | {INVALID_COUNT} | {INVALID_COUNT - len(INVALID)} refused | {len(INVALID)} pass, once |
| gunicorn {GUNICORN.version}, valid | {VALID_COUNT} | {VALID_COUNT - len(VALID)} arrive | {len(VALID)} refused |
| what h11 {H11.version} and waitress {WAITRESS.version} test themselves with, as h11 reads it | {OWN_COUNT} \
| {OWN_COUNT - STRICTER_COUNT} alike | {STRICTER_COUNT} refused |

| collection | vectors | the app gets | why |
|---|---|---|---|
"""

_FUZZ = """
## Readers compared

`make fuzz` sends odd messages through the data path, by a seed that it tells, and holds every reader's understanding
against the others'. Half a minute of it is part of every test run, with another seed each time.

| play | what is sent | who reads it | what must be |
|---|---|---|---|
| `requests` | up to four pipelined requests, cut anywhere, with faults in framing, spacing, targets, Host, Connection, Expect, Upgrade | h11 on what the app sent; the sidecar; h11 at the instance | the same requests, none more; as many answers, in their order |
| `nginx` | the same | a real nginx behind a tee, by its own log and answers; h11 on both sides of it | the same number on both sides, same target, body and bytes taken |
| `answers` | answers of an instance, sloppy, wounded, with 1xx, without body, cut, with another one behind | a lenient reader at the instance; the sidecar; h11 at the app | each request has its own answer, once, with the same body; what is cut looks cut |
| `guided` | what reaches new branches of the pure readers (atheris) | they themselves, whole and cut at up to forty places, by the plain and the odd reader; h11, the lenient reader | one meaning |
"""

RUNS = (
    {"seed": 1796030269, "requests": 18_600, "nginx": 13_300, "answers": 3_900, "guided": 75_603},
    {"seed": 1796032579, "requests": 3_900, "nginx": 1_300, "answers": 600, "guided": 17_468},
)
"""What `make fuzz` told of each play in ten minutes."""

_RUN = """
The documented runs, ten minutes each (`make fuzz ARGS="--seed …"`) on two cores that others used as well, the second one heavily.
Nothing was found.

| seed | `requests`, examples | `nginx` | `answers` | `guided` |
|---|---|---|---|---|
"""

_FINDS = """
What fuzzing has found so far, in the sidecar or in its judges, stands in `tests/conformance/test_differential.py` as a
test of its own. That the plays find anything is tested, too: with a rule taken out, each of them fails.
"""


def page() -> str:
    """All of it."""
    omitted = (f"| {it.rule} | `{it.place}` | {_code(it.words)} | {_code(it.instead)} |\n" for it in OMISSIONS)
    parts = (_WITHOUT, *omitted, _COLLECTIONS.replace("\\\n", ""), *_otherwise(), _FUZZ, _RUN, *_runs(), _FINDS)
    return "".join(parts)


def _runs() -> Iterator[str]:
    return (f"| {' | '.join(map(str, run.values()))} |\n" for run in RUNS)


def _otherwise() -> Iterator[str]:
    for collection, differences in (
        ("gunicorn, invalid", INVALID),
        ("gunicorn, valid", VALID),
        ("h11, waitress", STRICTER),
    ):
        counted: Counter[Difference] = Counter(differences.values())
        for difference, count in counted.items():
            gets = difference.status or "no answer"
            yield f"| {collection} | {count} | {gets} | {difference.why} |\n"


def _code(words: str) -> str:
    """A few words of a program, in a cell of a table."""
    line = " ".join(words.split()).replace("|", "\\|")
    return f"`{line}`" if line else "nothing"
