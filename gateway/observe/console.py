"""The log for people at a terminal: one line of JSON becomes one line to read.

It is made from the JSON, so that both forms say the same. Values may come from a client or a provider: whatever is not
printable is escaped, since a terminal obeys control characters (CWE-150).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

_RESET, _DIM, _RED, _GREEN, _YELLOW, _CYAN = "\x1b[0m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[36m"
_OF_LEVEL = {"debug": _DIM, "info": "", "warning": _YELLOW, "error": _RED}
_OF_STATUS = {2: _GREEN, 3: _CYAN, 4: _YELLOW, 5: _RED}
# What stands in the line already, or says nothing to a reader.
_TOLD = frozenset({"time", "level", "event", "message", "traceback", "logger", "pid"})
_TOLD_OF_REQUESTS = _TOLD | {"method", "path", "status", "duration_ms", "request_id", "bytes_received", "bytes_sent"}
_LEVEL_WIDTH = 7


def console_line(line: bytes, *, colours: bool) -> bytes:
    """A line of the JSON form, newline included, as a terminal shows it. What is not JSON comes as it is, escaped."""
    try:
        values = json.loads(line)
    except ValueError:
        values = None
    if not isinstance(values, dict):
        return f"{_printable(line.decode('utf-8', 'backslashreplace').rstrip())}\n".encode()
    is_request = values.get("event") == "request"
    parts = [*_begin(values, colours), *(_request(values, colours) if is_request else _event(values))]
    parts += _fields(values, _TOLD_OF_REQUESTS if is_request else _TOLD)
    return ("  ".join(parts) + "\n" + "".join(_traceback(values))).encode("utf-8", "backslashreplace")


def _begin(values: Mapping[str, Any], colours: bool) -> Iterator[str]:
    at = _printable(str(values.get("time", "")))
    yield _painted(at[11:23] if len(at) == len("2026-01-31T12:00:00.123Z") else at, _DIM, colours)
    level = _printable(str(values.get("level", "")))
    yield _painted(level.ljust(_LEVEL_WIDTH), _OF_LEVEL.get(level, ""), colours)


def _event(values: Mapping[str, Any]) -> Iterator[str]:
    event = str(values.get("event", ""))
    # Of libraries the logger says more than the word `log`.
    yield _printable(str(values.get("logger", event)) if event == "log" else event)
    if "message" in values:
        yield _printable(str(values["message"]))


def _request(values: Mapping[str, Any], colours: bool) -> Iterator[str]:
    status = values.get("status")
    colour = _OF_STATUS.get(status // 100, "") if isinstance(status, int) else ""
    yield _painted(_printable(str(status)).rjust(3), colour, colours)
    yield _printable(f"{values.get('method')} {values.get('path')}")
    duration_ms = values.get("duration_ms")
    if isinstance(duration_ms, float | int):
        yield f"{duration_ms:.1f} ms"


def _fields(values: Mapping[str, Any], told: frozenset[str]) -> Iterator[str]:
    for name, value in values.items():
        if name not in told and value is not None:
            yield f"{_printable(name)}={_value(value)}"


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    shown = _printable(text)
    is_plain = isinstance(value, str) and shown and " " not in shown and '"' not in shown
    return shown if is_plain or not isinstance(value, str) else '"' + shown.replace('"', '\\"') + '"'


def _traceback(values: Mapping[str, Any]) -> Iterator[str]:
    for line in str(values.get("traceback", "")).splitlines():
        yield f"    {_printable(line)}\n"


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape", "backslashreplace").decode() for one in text
    )


def _painted(text: str, colour: str, colours: bool) -> str:
    return f"{colour}{text}{_RESET}" if colours and colour else text
