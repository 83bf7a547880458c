"""`python -m tests.conformance.guided`: the pure readers, with inputs that atheris finds by what they make run.

The readers of the product are instrumented as they are imported; an input that reaches new branches is kept and
changed further. It begins with the rows of the tables of rules, and knows the words that ever mattered. A find ends
it with exit code 77 and the input on stderr.
"""

import argparse
import sys
import tempfile
from itertools import starmap
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["sidecar.proxy.http1", "sidecar.errors"]):
    from tests.conformance.seeds import JUDGES, seeds

from tests.support.mutations import WORDS

_KINDS = list(JUDGES)


def judge(data: bytes) -> None:
    """The first byte says of which kind the others are."""
    if data:
        JUDGES[_KINDS[data[0] % len(_KINDS)]](data[1:])


def _with_kind(kind: str, data: bytes) -> bytes:
    return bytes([_KINDS.index(kind)]) + data


def _quoted(word: bytes) -> str:
    return '"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n'


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="tests.conformance.guided", description="Readers, led by coverage.")
    parser.add_argument("--seconds", type=int, default=0, help="0: no such bound")
    parser.add_argument("--examples", type=int, default=-1, help="-1: no such bound")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--input", type=Path, help="one input that was found, again")
    options = parser.parse_args(arguments)
    if options.input is not None:
        judge(options.input.read_bytes())
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "words").write_text("".join(map(_quoted, WORDS)), "ascii")
        (folder / "seeds").mkdir()
        for number, data in enumerate(starmap(_with_kind, seeds())):
            (folder / "seeds" / str(number)).write_bytes(data)
        atheris.Setup(
            [
                sys.argv[0],
                f"-max_total_time={options.seconds}",
                f"-runs={options.examples}",
                f"-seed={options.seed}",
                f"-dict={folder / 'words'}",
                f"-artifact_prefix={folder}/",
                *("-max_len=2048", "-print_final_stats=1", "-verbosity=1", "-timeout=60"),
                str(folder / "seeds"),
            ],
            judge,
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
