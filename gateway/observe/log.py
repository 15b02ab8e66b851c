"""Events as JSON lines on standard output, ours and those of libraries, through the standard `logging`.

Our own code says `logger.warning("a sentence", extra={"event": "worker_lost", "fields": {"pid": 12}})`. `event` is a
stable word to search for, and `fields` become members of the line. Records of libraries have the event `log`.
"""

from __future__ import annotations

import atexit
import logging
import sys
from collections.abc import Iterable
from typing import Any

from gateway.observe.lines import LineWriter, json_line, rfc3339
from gateway.observe.redact import Redactor

_LEVEL_WORDS = {"DEBUG": "debug", "INFO": "info", "WARNING": "warning", "ERROR": "error", "CRITICAL": "error"}
_OURS = "gateway"
# aiohttp's own access log prints the query, and with it tokens sent by mistake; ours takes its place.
_SILENCED = ("aiohttp.access",)


class JsonLines(logging.Handler):
    """Formats records as JSON lines, without secrets, and hands them to the writer."""

    def __init__(self, writer: LineWriter, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._writer = writer
        self._redact = Redactor(secrets)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = json_line(self._values(record))
        except Exception as error:  # noqa: BLE001 - a record that cannot be formatted must not end what logged it
            line = json_line(
                {
                    "time": rfc3339(record.created),
                    "level": "error",
                    "event": "log_failed",
                    "logger": record.name,
                    "pid": record.process,
                    "message": f"a record of line {record.lineno} cannot be formatted: {type(error).__name__}",
                }
            )
        self._writer.write(line)

    def _values(self, record: logging.LogRecord) -> dict[str, Any]:
        values: dict[str, Any] = {
            "time": rfc3339(record.created),
            "level": _LEVEL_WORDS.get(record.levelname, "info"),
            "event": getattr(record, "event", "log"),
            "logger": record.name,
            "message": self._redact(record.getMessage()),
        }
        for name, value in getattr(record, "fields", {}).items():
            values.setdefault(name, self._redact(value) if isinstance(value, str) else value)
        if record.exc_info and record.exc_info[0] is not None:
            # Without the frames' local variables, which hold tokens.
            values["traceback"] = self._redact(_FORMAT.formatException(record.exc_info))
        # In a line about a worker it is that worker's, which is one of the fields.
        values.setdefault("pid", record.process)
        return values


_FORMAT = logging.Formatter()


def configure_logging(level: str, writer: LineWriter, secrets: Iterable[str] = ()) -> None:
    """Send every record of at least `level` (debug, info, warning, error) to `writer`; may be called again.

    Libraries log from `warning` on, whatever the level: their lower levels are about themselves, and some print the
    data that passes through them. The configured `secrets` are replaced in every line.
    """
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one, JsonLines)]:
        root.removeHandler(handler)
    root.addHandler(JsonLines(writer, secrets))
    chosen = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(max(chosen, logging.WARNING))
    logging.getLogger(_OURS).setLevel(chosen)
    for name in _SILENCED:
        logging.getLogger(name).disabled = True
    logging.captureWarnings(True)


def standard_output() -> LineWriter:
    """The writer of this process, closed when the process ends. Without a standard output it drops every line."""
    # Python sets sys.stdout to None when descriptor 1 was closed at the start. By now it may be a client's socket.
    writer = LineWriter(sys.stdout.fileno() if sys.stdout is not None else None)
    atexit.register(writer.close)
    return writer
