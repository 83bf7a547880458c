"""One instance as a short text, and back: `10.0.0.1:8080*1`, for timelines that are read by people and replayed.

After address and weight follows only what is out of the ordinary: `;healthy=false`, `;enabled=false`,
`;cluster=SHANGHAI`, and at the end `;metadata={"version": "2"}`.
"""

import json
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import quote, unquote

from sidecar.cluster.instance import Instance

ORDINARY = Instance("", 0)

_METADATA = ";metadata="


def written(instance: Instance) -> str:
    """The instance as text, without loss."""
    text = f"{instance.address}*{_weight(instance.weight)}"
    if not instance.healthy:
        text += ";healthy=false"
    if not instance.enabled:
        text += ";enabled=false"
    if instance.cluster != ORDINARY.cluster:
        text += f";cluster={quote(instance.cluster, errors='replace')}"
    if instance.metadata:
        text += _METADATA + json.dumps(dict(instance.metadata))
    return text


def read(text: str) -> Instance:
    """The instance that `written` made this of; ValueError for any other text."""
    front, _, metadata = text.partition(_METADATA)
    place, *odd = front.split(";")
    address, star, weight = place.rpartition("*")
    host, colon, port = address.rpartition(":")
    facts = dict(_fact(one) for one in odd)
    healthy, enabled = (_truth(facts.pop(name, "true")) for name in ("healthy", "enabled"))
    cluster = unquote(facts.pop("cluster", ORDINARY.cluster))
    if not (star and colon and host and port.isascii() and port.isdigit()) or facts:
        raise ValueError(f"expected an instance such as 10.0.0.1:8080*1, got {text!r}")
    return Instance(
        host.removeprefix("[").removesuffix("]"),
        int(port),
        weight=float(weight),
        healthy=healthy,
        enabled=enabled,
        cluster=cluster,
        metadata=_mapping(metadata),
    )


def _weight(weight: float) -> str:
    short = f"{weight:g}"
    return short if float(short) == weight else repr(weight)


def _fact(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _truth(word: str) -> bool:
    if word not in {"true", "false"}:
        raise ValueError(f"expected true or false, got {word!r}")
    return word == "true"


def _mapping(text: str) -> Mapping[str, str]:
    if not text:
        return ORDINARY.metadata
    found = json.loads(text)
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ValueError(f"expected metadata as an object of texts, got {text!r}")
    return MappingProxyType(found)
