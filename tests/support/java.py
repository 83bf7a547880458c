"""The Java programs of the tests, built from `tests/fixtures/java` into `.cache/java`.

A program is a folder with a `pom.xml`, which names its jars, and a `Main.java`. The folder that it is built into is
named after the hash of the two, so a change builds anew and an unchanged one costs nothing. The first time, Maven
fetches some 300 MB.
"""

import fcntl
import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.process import run

TOOLS = ("java", "javac", "mvn")

_ROOT = Path(__file__).resolve().parents[2]
_SOURCES = _ROOT / "tests" / "fixtures" / "java"
_CACHE = _ROOT / ".cache" / "java"
_log = logging.getLogger("tests")


@dataclass(frozen=True)
class JavaProgram:
    """One folder of `tests/fixtures/java`, and the class that starts it."""

    name: str
    main: str = "Main"
    version: str = ""
    """Of the client that the pom asks for as `client.version`, where it asks for one."""

    @property
    def home(self) -> Path:
        """Where its jars are, once built."""
        files = (_SOURCES / self.name / "pom.xml", _SOURCES / self.name / "Main.java")
        digest = hashlib.sha256(b"\0".join(file.read_bytes() for file in files))
        return _CACHE / f"{self._label}-{digest.hexdigest()[:12]}"

    @property
    def _label(self) -> str:
        return f"{self.name}@{self.version}" if self.version else self.name

    def command(self, *options: str) -> list[str]:
        """The command line up to the program's own arguments; builds the program when it is not there."""
        self.build()
        jars = (self.home / "jars").read_text().strip().split(os.pathsep)
        class_path = os.pathsep.join(str(self.home / jar) for jar in ("main.jar", *jars))
        return ["java", *options, "-cp", class_path, self.main]

    def build(self) -> None:
        if self.home.exists():
            return
        _CACHE.mkdir(parents=True, exist_ok=True)
        with _lock(_CACHE / f"{self._label}.lock"):
            if not self.home.exists():
                _log.info("%s: Maven brings its jars", self._label)
                self._build()
                _log.info("%s: built", self._label)

    def _build(self) -> None:
        for old in _CACHE.glob(f"{self._label}-*"):
            shutil.rmtree(old)
        with tempfile.TemporaryDirectory(dir=_CACHE) as folder:
            stage = Path(folder) / "stage"
            stage.mkdir()
            self._collect_jars(stage)
            self._compile(stage)
            stage.rename(self.home)

    def _collect_jars(self, stage: Path) -> None:
        """The jars into `lib`, and their names in Maven's order: two of them hold the same classes, the first counts."""
        run(
            *("mvn", "--batch-mode", "--no-transfer-progress", "--quiet"),
            *("--file", str(_SOURCES / self.name / "pom.xml")),
            *("dependency:copy-dependencies", "dependency:build-classpath"),
            "-DincludeScope=runtime",
            f"-Dclient.version={self.version}",
            f"-DoutputDirectory={stage / 'lib'}",
            "-Dmdep.prefix=lib",
            f"-Dmdep.outputFile={stage / 'jars'}",
        )

    def _compile(self, stage: Path) -> None:
        classes = stage / "classes"
        source = _SOURCES / self.name / "Main.java"
        run("javac", "-nowarn", "-cp", f"{stage}/lib/*", "-d", str(classes), str(source))
        run("jar", "--create", "--file", str(stage / "main.jar"), "-C", str(classes), ".")


PROVIDER = JavaProgram("provider")
CLIENTS = {
    "1.4.2": JavaProgram("client", version="1.4.2"),
    "2.3.2": JavaProgram("client", version="2.3.2"),
    "3": JavaProgram("client", version="3.2.1-2026.03.30"),
}
"""By their generation; of the third the latest that Maven serves."""
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


def build_all() -> None:
    """Side by side: Maven waits for the network nearly all of its time."""
    with ThreadPoolExecutor() as pool:
        for built in [pool.submit(program.build) for program in (PROVIDER, *CLIENTS.values(), *SERVERS.values())]:
            built.result()
