"""The lists in force, on disk: what a sidecar starts from when the registry is down.

One file a service: written aside, flushed to the disk, renamed, so that a reader finds the old list or the new one
and never a part. Lists are put into words a piece at a time, one list after the other: on a thread of its own that
would hold the interpreter's lock while calls wait for it. The disk is waited for off the loop's thread.
A file is believed only if it is whole, of this format, young enough, and about the same instances of the registry:
it carries the discovery section it was made under. Whatever is not believed is ignored with a reason; a missing
file needs none.
"""

import asyncio
import json
import math
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sidecar import clock
from sidecar.cluster.instance import Instance, Origin, Push
from sidecar.cluster.policy import Discovery
from sidecar.discovery.gradual import A_TURN, gradually, pieces
from sidecar.discovery.listing import Shared
from sidecar.discovery.source import SEQUENCES

FORMAT = 1
REFRESH = 600.0
"""An unchanged list is written again after this many seconds: its age counts from the last write."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """A file that is there and not believed."""

    path: Path
    reason: str


class LastGood:
    """The folder of all lists. Ages are wall-clock seconds: only that clock goes on over a restart."""

    def __init__(
        self,
        folder: Path,
        *,
        namespace: str = "public",
        max_age: float = 24 * 3600.0,
        wall: Callable[[], float] = clock.wall,
    ) -> None:
        self._folder = folder
        self._namespace = namespace
        self._max_age = max_age
        self._wall = wall
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._one_at_a_time = asyncio.Lock()
        self._written: dict[str, tuple[float, bytes]] = {}
        """When each service's file was written last, and the digest of what is in it."""

    def path(self, service: str) -> Path:
        """The service's file; no name leads out of the folder."""
        return self._folder / f"{quote(service, safe='')}.json"

    async def load(self, service: str, discovery: Discovery) -> Push | Ignored | None:
        """The list kept for `service`, or why its file is ignored; None where none is kept, or an empty one.

        Blocks for a small read: meant for the start of the process.
        """
        path, taken = self.path(service), _Instances()
        try:
            document = (await gradually(pieces(path.read_bytes().decode(), "instances", taken.take))).document
            self._believe(document, self._subject(service, discovery))
            instances = taken.with_rest(document["instances"])
            age = self._age(document.get("confirmed_at", document["saved_at"]))
        except FileNotFoundError:
            return None
        except OSError as error:
            return Ignored(path, f"cannot be read: {error.strerror}")
        except _UnbelievableError as error:
            return Ignored(path, str(error))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
            return Ignored(path, "damaged")
        return Push(service, instances, Origin.DISK, sequence=next(SEQUENCES), age=age) if instances else None

    async def save(
        self, service: str, discovery: Discovery, instances: Sequence[Instance], *, age: float = 0.0
    ) -> None:
        """Keeps `instances`, which the registry confirmed `age` seconds ago, for the next start.

        Raises OSError, and then the old file is still whole. Cheap to call often: an unchanged list is written only
        every `REFRESH` seconds.
        """
        subject = self._subject(service, discovery)
        async with self._locks[service]:
            async with self._one_at_a_time:
                words = await gradually(_words(subject, instances))
            await asyncio.to_thread(self._save, service, words, age)

    def _save(self, service: str, words: str, age: float) -> None:
        body = words.encode()
        digest = blake2b(body).digest()
        now = self._wall()
        at, written = self._written.get(service, (-math.inf, b""))
        if written == digest and now - at < REFRESH:
            return
        write_whole(self.path(service), b'{"saved_at": %d, "confirmed_at": %d, ' % (now, now - age) + body)
        self._written[service] = (now, digest)

    def _subject(self, service: str, discovery: Discovery) -> dict[str, Any]:
        """What a list is about; the filters count, because what is kept has passed them."""
        return {
            "namespace": self._namespace,
            "service": discovery.service or service,
            "group": discovery.group,
            "clusters": list(discovery.clusters),
            "healthy_only": discovery.healthy_only,
            "metadata": dict(discovery.metadata),
        }

    def _believe(self, document: Any, subject: dict[str, Any]) -> None:
        if document["format"] != FORMAT:
            raise _UnbelievableError(f"format {document['format']} is not {FORMAT}")
        if document["of"] != subject:
            raise _UnbelievableError("about another service, group, namespace or filter")
        age = self._age(document["saved_at"])
        if age > self._max_age:
            raise _UnbelievableError(f"{age:.0f} s old, older than {self._max_age:.0f} s")

    def _age(self, stamp: float) -> float:
        """A wall clock may have been set back since."""
        if not math.isfinite(stamp):
            raise ValueError(stamp)
        return max(0.0, self._wall() - stamp)


class _UnbelievableError(Exception):
    """A whole file that must not be used."""


class _Instances:
    """Taken one by one; one that is none spoils the list."""

    def __init__(self) -> None:
        self._taken: list[Instance] = []
        self._shared = Shared()
        self._error: Exception | None = None

    def take(self, raw: Any) -> None:
        """The first error is kept: whether the file is to be believed at all is found out later."""
        if self._error is None:
            try:
                self._taken.append(_instance(raw, self._shared))
            except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
                self._error = error

    def with_rest(self, raws: list[Any]) -> tuple[Instance, ...]:
        """All of them, those too that were not taken yet. Raises what was wrong with the first that is none."""
        for raw in raws:
            self.take(raw)
        if self._error is not None:
            raise self._error
        return tuple(self._taken)


def _words(subject: dict[str, Any], instances: Sequence[Instance]) -> Generator[None, None, str]:
    """The file without its beginning; yields now and then."""
    texts: list[str] = []
    for instance in instances:
        if texts and not len(texts) % A_TURN:
            yield
        texts.append(json.dumps(_raw(instance)))
    return f'"format": {FORMAT}, "of": {json.dumps(subject)}, "instances": [{", ".join(texts)}]}}'


def write_whole(path: Path, content: bytes) -> None:
    """All or nothing, also when the power goes: the aside file is on the disk before it gets the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".new")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, opened for its mode
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _raw(instance: Instance) -> dict[str, Any]:
    return {
        "host": instance.host,
        "port": instance.port,
        "weight": instance.weight,
        "healthy": instance.healthy,
        "enabled": instance.enabled,
        "cluster": instance.cluster,
        "metadata": dict(instance.metadata),
    }


def _instance(raw: Any, shared: Shared) -> Instance:
    """Every type is checked: the file may have been edited, or be somebody else's."""
    if not isinstance(raw["port"], int) or not 0 < raw["port"] <= 65535:
        raise ValueError(raw["port"])
    if not math.isfinite(weight := float(raw["weight"])):
        raise ValueError(weight)
    return Instance(
        host=_text(raw["host"]),
        port=raw["port"],
        weight=weight,
        healthy=raw["healthy"] is True,
        enabled=raw["enabled"] is True,
        cluster=sys.intern(_text(raw["cluster"])),
        metadata=shared.one({_text(k): _text(v) for k, v in raw["metadata"].items()}),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value
