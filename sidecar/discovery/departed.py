"""Addresses that left their service, on disk: a sidecar that restarts in the middle of a rolling restart knows them still.

One file for all services, beside the last-good lists; no service has its name. It is as believable as they are: whole,
of this format, and each address only for as long as it would have been remembered anyway.
"""

import asyncio
import json
import math
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any

from sidecar import clock
from sidecar.cluster.addresses import Departed
from sidecar.discovery.gradual import A_TURN, decoded, gradually
from sidecar.discovery.last_good import Ignored, write_whole

NAME = "_departed.json"
"""The name of a service begins with a letter or a digit."""

FORMAT = 1


class DepartedFile:
    """In the folder of the last-good lists. Times in it are of the wall clock: only that one goes on over a restart."""

    def __init__(self, folder: Path, *, wall: Callable[[], float] = clock.wall) -> None:
        self.path = folder / NAME
        self._wall = wall

    def load(self, now: float) -> list[Departed] | Ignored:
        """What was kept, in terms of the loop's clock, or why it is not believed; nothing where nothing was kept.

        Blocks for a small read: meant for the start of the process.
        """
        try:
            document = decoded(self.path.read_bytes())
            if document["format"] != FORMAT:
                return Ignored(self.path, f"format {document['format']} is not {FORMAT}")
            since = self._wall() - now
            return [_departed(raw, since, now) for raw in document["departed"]]
        except FileNotFoundError:
            return []
        except OSError as error:
            return Ignored(self.path, f"cannot be read: {error.strerror}")
        except (ValueError, TypeError, KeyError, OverflowError):
            return Ignored(self.path, "damaged")

    async def save(self, departed: Iterable[Departed], now: float) -> None:
        """Keeps them for the next start; raises OSError, and then the old file is still whole."""
        words = await gradually(_words(list(departed), self._wall() - now))
        await asyncio.to_thread(write_whole, self.path, words.encode())


def _words(departed: list[Departed], since: float) -> Generator[None, None, str]:
    """The file; yields now and then."""
    texts: list[str] = []
    for address, service, left_at in departed:
        if texts and not len(texts) % A_TURN:
            yield
        texts.append(json.dumps([address, service, round(since + left_at, 3)]))
    return f'{{"format": {FORMAT}, "departed": [{", ".join(texts)}]}}'


def _departed(raw: Any, since: float, now: float) -> Departed:
    """Every type is checked: the file may have been edited. A wall clock may have been set back meanwhile."""
    address, service, left = raw
    if not isinstance(address, str) or not isinstance(service, str) or not isinstance(left, int | float):
        raise TypeError(raw)
    if not math.isfinite(left):
        raise ValueError(raw)
    return Departed(address, service, min(now, left - since))
