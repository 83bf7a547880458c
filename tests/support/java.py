"""The Java programs of the tests, built from `tests/fixtures/java` into `.cache/java`.

A program is a folder with a `pom.xml`, which names its jars, and a `Main.java`. The folder that it is built into is
named after the hash of the two, so a change builds anew and an unchanged one costs nothing. `python -m
tests.support.java` builds them all, with its progress on stdout: the first time, Maven fetches some 300 MB.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.needs import find

TOOLS = ("java", "javac", "mvn")

_ROOT = Path(__file__).resolve().parents[2]
_SOURCES = _ROOT / "tests" / "fixtures" / "java"
_CACHE = _ROOT / ".cache" / "java"


def _silent(_: str) -> None:
    """Says nothing."""


@dataclass(frozen=True)
class JavaProgram:
    """One folder of `tests/fixtures/java`, and the class that starts it."""

    name: str
    main: str = "Main"

    @property
    def home(self) -> Path:
        """Where its jars are, once built."""
        files = (_SOURCES / self.name / "pom.xml", _SOURCES / self.name / "Main.java")
        digest = hashlib.sha256(b"\0".join(file.read_bytes() for file in files))
        return _CACHE / f"{self.name}-{digest.hexdigest()[:12]}"

    def command(self, *options: str) -> list[str]:
        """The command line up to the program's own arguments; builds the program when it is not there."""
        self.build()
        jars = (self.home / "jars").read_text().strip().split(os.pathsep)
        class_path = os.pathsep.join(str(self.home / jar) for jar in ("main.jar", *jars))
        return ["java", *options, "-cp", class_path, self.main]

    def build(self, say: Callable[[str], None] = _silent) -> None:
        if self.home.exists():
            return
        _CACHE.mkdir(parents=True, exist_ok=True)
        with _lock(_CACHE / f"{self.name}.lock"):
            if not self.home.exists():
                say(f"{self.name}: Maven brings its jars")
                self._build()
                say(f"{self.name}: built")

    def _build(self) -> None:
        for old in _CACHE.glob(f"{self.name}-*"):
            shutil.rmtree(old)
        with tempfile.TemporaryDirectory(dir=_CACHE) as folder:
            stage = Path(folder) / "stage"
            stage.mkdir()
            self._collect_jars(stage)
            self._compile(stage)
            stage.rename(self.home)

    def _collect_jars(self, stage: Path) -> None:
        """The jars into `lib`, and their names in Maven's order: two of them hold the same classes, the first counts."""
        _run(
            *("mvn", "--batch-mode", "--no-transfer-progress", "--quiet"),
            *("--file", str(_SOURCES / self.name / "pom.xml")),
            *("dependency:copy-dependencies", "dependency:build-classpath"),
            "-DincludeScope=runtime",
            f"-DoutputDirectory={stage / 'lib'}",
            "-Dmdep.prefix=lib",
            f"-Dmdep.outputFile={stage / 'jars'}",
        )

    def _compile(self, stage: Path) -> None:
        classes = stage / "classes"
        source = _SOURCES / self.name / "Main.java"
        _run("javac", "-nowarn", "-cp", f"{stage}/lib/*", "-d", str(classes), str(source))
        _run("jar", "--create", "--file", str(stage / "main.jar"), "-C", str(classes), ".")


PROVIDER = JavaProgram("provider")
SERVERS = {
    "3.1.0": JavaProgram("nacos-3.1.0"),
    "2.3.2": JavaProgram("nacos-2.3.2", main="com.alibaba.nacos.Main"),
}


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """One process at a time."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(*command: str) -> None:
    result = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"{command[0]} failed with {result.returncode}:\n{result.stdout}{result.stderr}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _build_all() -> None:
    """Side by side: Maven waits for the network nearly all of its time."""
    with ThreadPoolExecutor() as pool:
        for built in [pool.submit(program.build, _say) for program in (PROVIDER, *SERVERS.values())]:
            built.result()


if __name__ == "__main__":
    lacking = [tool for tool in TOOLS if find(tool) is None]
    if lacking:
        _say(f"no Java programs for the tests: this machine lacks {', '.join(lacking)}")
    else:
        _build_all()
