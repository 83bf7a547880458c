"""The Java programs of the tests, built from `tests/fixtures/java` into `.cache/java`.

A program is a folder with a `pom.xml`, which names its jars, and its sources. The folder that it is built into is
named after the hash of all that, so a change builds anew and an unchanged one costs nothing. The first time, Maven
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
    """A folder of sources, and the class that starts it."""

    name: str
    main: str = "Main"
    folder: Path | None = None
    """Where its `pom.xml` is; without, it is the folder of its name in `tests/fixtures/java`."""
    maven: tuple[str, ...] = ()
    """Properties that its `pom.xml` asks for."""
    javac: tuple[str, ...] = ()

    @property
    def home(self) -> Path:
        """Where its jars are, once built."""
        files = [self._pom, *self._sources]
        options = " ".join((*self.maven, *self.javac)).encode()
        digest = hashlib.sha256(b"\0".join([*(file.read_bytes() for file in files), *([options] if options else [])]))
        return _CACHE / f"{self.name}-{digest.hexdigest()[:12]}"

    @property
    def class_path(self) -> str:
        """Builds the program when it is not there."""
        self.build()
        jars = (self.home / "jars").read_text().strip().split(os.pathsep)
        return os.pathsep.join(str(self.home / jar) for jar in ("main.jar", *jars))

    def command(self, *options: str) -> list[str]:
        """The command line up to the program's own arguments."""
        return ["java", *options, "-cp", self.class_path, self.main]

    def build(self) -> None:
        if self.home.exists():
            return
        _CACHE.mkdir(parents=True, exist_ok=True)
        with _lock(_CACHE / f"{self.name}.lock"):
            if not self.home.exists():
                _log.info("%s: Maven brings its jars", self.name)
                self._build()
                _log.info("%s: built", self.name)

    @property
    def _folder(self) -> Path:
        return self.folder or _SOURCES / self.name

    @property
    def _pom(self) -> Path:
        return self._folder / "pom.xml"

    @property
    def _sources(self) -> list[Path]:
        return sorted(self._folder.rglob("*.java"))

    def _build(self) -> None:
        for old in _CACHE.glob(f"{self.name}-{'[0-9a-f]' * 12}"):
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
            *("--file", str(self._pom)),
            *("dependency:copy-dependencies", "dependency:build-classpath"),
            "-DincludeScope=runtime",
            f"-DoutputDirectory={stage / 'lib'}",
            "-Dmdep.prefix=lib",
            f"-Dmdep.outputFile={stage / 'jars'}",
            *self.maven,
        )

    def _compile(self, stage: Path) -> None:
        classes = stage / "classes"
        run("javac", "-nowarn", *self.javac, "-cp", f"{stage}/lib/*", "-d", str(classes), *map(str, self._sources))
        run("jar", "--create", "--file", str(stage / "main.jar"), "-C", str(classes), ".")


PROVIDER = JavaProgram("provider")
CLIENTS = {
    version: JavaProgram(f"client@{artifact}", folder=_SOURCES / "client", maven=(f"-Dclient.version={artifact}",))
    for version, artifact in {"1.4.2": "1.4.2", "2.3.2": "2.3.2", "3": "3.2.1-2026.03.30"}.items()
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


def build_all(*more: JavaProgram) -> None:
    """Side by side: Maven waits for the network nearly all of its time."""
    programs = (PROVIDER, *CLIENTS.values(), *SERVERS.values(), *more)
    with ThreadPoolExecutor() as pool:
        for built in [pool.submit(program.build) for program in programs]:
            built.result()
