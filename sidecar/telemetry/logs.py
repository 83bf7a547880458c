"""The event log: one line an event on stderr, logfmt for people or JSON for machines, through the standard library's logging.

Everything that logs ends here: our events, what `tasks.spawn` reports, and third parties from WARNING on. Text says
`TIME LEVEL KIND key=value …` with durations as whole milliseconds; JSON says the same with durations in seconds.
"""

import json
import logging
import traceback
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from sidecar.cluster.events import Event
from sidecar.telemetry.sink import Sink

LOGGER = "sidecar"
"""Our own logger; its level is the one that the operator chooses."""

LEVELS = ("debug", "info", "warning", "error")

_PLAIN = "log"
"""The kind of a line that is no event: a library's, or a warning of ours about the configuration."""

Fields = dict[str, Any]


class EventLog:
    """The one handler of the process, its format and its level."""

    def __init__(self, *, level: str, format: str, sink: Sink) -> None:  # noqa: A002 - the key of the YAML
        self._logger = logging.getLogger(LOGGER)
        self._handler = _SinkHandler(sink)
        self.use(format)
        self.level = level

    def __repr__(self) -> str:
        return f"<EventLog {self.level}>"

    @property
    def level(self) -> str:
        """The least level of events that is written, one of `LEVELS`."""
        return logging.getLevelName(self._logger.level).lower()

    @level.setter
    def level(self, level: str) -> None:
        self._logger.setLevel(level.upper())

    def use(self, format: str) -> None:  # noqa: A002 - as above
        """Writes as `text` or `json` from now on."""
        self._handler.setFormatter(JsonFormatter() if format == "json" else TextFormatter())

    def install(self) -> None:
        """Takes the place of all handlers of the root logger and sends warnings of the interpreter here too."""
        root = logging.getLogger()
        root.handlers[:] = [self._handler]
        root.setLevel(logging.WARNING)
        logging.captureWarnings(capture=True)

    def write(self, event: Event) -> None:
        """Writes the event if its level is heard."""
        level = _NUMBERS[event.level.value]
        if self._logger.isEnabledFor(level):
            self._logger.log(level, event.kind, extra={"detail": _event_fields(event)})

    def write_text(self, text: str) -> None:
        """Whole lines that are no event, as they are; never waits for whoever reads them."""
        self._handler.sink.write(text.encode("utf-8", "backslashreplace"))

    def close(self, timeout: float = 1.0) -> None:
        """Writes what is left; blocks at most `timeout` seconds."""
        root = logging.getLogger()
        if self._handler in root.handlers:
            root.removeHandler(self._handler)
            logging.captureWarnings(capture=False)
        self._handler.sink.close(timeout)


class _SinkHandler(logging.Handler):
    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self.sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        self.sink.write(f"{self.format(record)}\n".encode("utf-8", "backslashreplace"))


class TextFormatter(logging.Formatter):
    """logfmt: `2026-01-31T10:00:00.123Z INFO push_refused service=orders why=empty kept=2 offered=0`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line without its end."""
        kind, found = _kind_and_fields(record)
        pairs = " ".join(f"{key}={_logfmt(value)}" for key, value in _in_milliseconds(found))
        return f"{_stamp(record.created)} {record.levelname} {kind}{' ' if pairs else ''}{pairs}"


class JsonFormatter(logging.Formatter):
    """The same as an object: `at`, `level`, `event`, then the event's fields."""

    def format(self, record: logging.LogRecord) -> str:
        """One line without its end."""
        kind, found = _kind_and_fields(record)
        line = {"at": _stamp(record.created), "level": record.levelname.lower(), "event": kind, **found}
        return json.dumps(line, ensure_ascii=False, default=str)


_NUMBERS: Mapping[str, int] = {level: getattr(logging, level.upper()) for level in LEVELS}


def _event_fields(event: Event) -> Fields:
    return {"service": event.service, "endpoint": event.endpoint, **event.brief}


def _kind_and_fields(record: logging.LogRecord) -> tuple[str, Fields]:
    """Events carry their kind as the message and their facts as `detail`; all else is a plain line of some logger."""
    detail: Fields | None = getattr(record, "detail", None)
    if record.name == LOGGER and detail is not None:
        kind, found = record.getMessage(), detail
    else:
        kind, found = _PLAIN, {"logger": record.name, "message": record.getMessage()}
    return kind, {key: value for key, value in (found | _raised(record)).items() if value is not None}


def _raised(record: logging.LogRecord) -> Fields:
    if not record.exc_info or record.exc_info[1] is None:
        return {}
    error = record.exc_info[1]
    return {"error": repr(error), "traceback": "".join(traceback.format_exception(error))}


def _in_milliseconds(found: Fields) -> Iterable[tuple[str, Any]]:
    for key, value in found.items():
        if key.endswith("_s") and isinstance(value, int | float):
            yield f"{key[:-2]}_ms", round(value * 1000)
        else:
            yield key, value


def _logfmt(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case tuple() | list():
            return _logfmt(", ".join(map(str, value)))
        case dict():
            return json.dumps(
                value, ensure_ascii=False, default=str
            )  # bare, so that it can be cut out and read as it is
        case _:
            text = str(value)
            return text if _is_bare(text) else json.dumps(text, ensure_ascii=False)


def _is_bare(text: str) -> bool:
    return bool(text) and text.isprintable() and not any(mark in text for mark in ' "=\\')


def _stamp(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
