"""Writes log lines: one JSON object a line, or its console form, in batches, from a thread of its own.

Standard output may be a pipe that nobody reads, a full disk or a closed terminal. None of these may block or end a
worker.

How this works:

- `LineWriter.write` only appends to a bounded buffer. It drops and counts a line that finds the buffer full.
- A thread, begun with the first line, wakes up, waits for a batch, and writes whole lines in pieces that a pipe does
  not mix with another worker's.
- When lines were dropped, the next batch logs how many, and why. Where writing itself fails, standard error is told of
  the reason as well, once: it is all that is left, and a service manager or container keeps it, too.
- `close` lets the thread write the rest, for a bounded time.

It is a thread because making standard output non-blocking would make it so for every process that shares it.
"""

from __future__ import annotations

import json
import os
import select
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

from gateway.observe.console import console_line
from gateway.observe.families import LOG_LINES_DROPPED
from gateway.observe.snapshots import Snapshot

# A pipe does not mix a write of up to this many bytes with another worker's (POSIX; 4096 on Linux).
PIPE_ATOMIC_BYTES = 4096
_FILE_CHUNK_BYTES = 256 * 2**10
_BUFFER_MAX_BYTES = 4 * 2**20
_BATCH_S = 0.1
_STANDARD_ERROR = 2
# Texts are cut to these lengths, one after the other, until the line fits into one write.
_TEXT_LIMITS = (2000, 1000, 400, 100, 30)

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True, default=str).encode


def json_line(values: Mapping[str, Any]) -> bytes:
    """`values` as a line of at most `PIPE_ATOMIC_BYTES`. Texts that are too long lose their middle."""
    line = _encode(values)
    for limit in _TEXT_LIMITS:
        if len(line) < PIPE_ATOMIC_BYTES:
            break
        line = _encode({key: cut(value, limit) for key, value in values.items()})
    if len(line) >= PIPE_ATOMIC_BYTES:
        line = _encode({**_warning_now(), "event": "log_line_too_long"})
    return line.encode("ascii") + b"\n"


def _warning_now() -> dict[str, Any]:
    return {"time": rfc3339(time.time()), "level": "warning", "pid": os.getpid()}


def rfc3339(wall_s: float) -> str:
    """A wall-clock time as UTC with milliseconds: `2026-01-31T12:00:00.123Z`."""
    return datetime.fromtimestamp(wall_s, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def cut(value: Any, limit: int) -> Any:
    if isinstance(value, str) and len(value) > limit:
        return f"{value[: limit // 2]}…{value[-limit // 2 :]}"
    return value


class LineWriter:
    """Writes lines to a file descriptor. `write` never blocks and may be called from any thread.

    `dropped` counts the lines that were lost, because the buffer was full or because writing failed.
    """

    def __init__(self, fd: int | None, *, buffer_bytes: int = _BUFFER_MAX_BYTES, batch_s: float = _BATCH_S) -> None:
        """`fd` is borrowed, not owned; None (there is no standard output) drops every line."""
        self.dropped = 0
        self._fd = -1 if fd is None else fd
        self._buffer_bytes = buffer_bytes
        self._batch_s = batch_s
        self._chunk_bytes = _chunk_bytes(fd)
        self._lock = threading.Lock()
        self._lines: list[bytes] = []
        self._waiting_bytes = 0
        self._reported = 0
        self._failure = ""  # why writing fails
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._form: Callable[[bytes], bytes] | None = None

    def write_as(self, form: Literal["auto", "json", "console"]) -> None:
        """Choose the form of the lines from now on. `auto` is for people where a terminal shows them."""
        is_console = form == "console" or (form == "auto" and self._is_terminal())
        # Colours only where a terminal shows them, and by the customs of https://no-color.org and terminfo's "dumb".
        colours = self._is_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self._form = partial(console_line, colours=colours) if is_console else None

    def _is_terminal(self) -> bool:
        return self._fd >= 0 and os.isatty(self._fd)

    def write(self, line: bytes) -> None:
        """Take one line, newline included; drop it when the buffer is full."""
        with self._lock:
            if self._fd < 0 or self._waiting_bytes + len(line) > self._buffer_bytes:
                self.dropped += 1
                return
            first = not self._lines
            self._lines.append(line)
            self._waiting_bytes += len(line)
        if first:
            self._start()
            self._wake.set()

    def close(self, timeout_s: float = 1.0) -> None:
        """Write the lines that wait, for at most `timeout_s`. The rest is lost where the reader is stuck."""
        self._closing.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def snapshot(self) -> Snapshot:
        return {"counters": {LOG_LINES_DROPPED.name: [[[], self.dropped]]}}

    def _start(self) -> None:
        # Only with the first line: a thread that was started at import would not exist in a forked child.
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="log", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            closing = self._closing.wait(self._batch_s)
            for chunk in _chunks(self._take(), self._chunk_bytes):
                self._send(chunk)
            if closing and not self._lines:
                return

    def _take(self) -> list[bytes]:
        with self._lock:
            lines, self._lines = self._lines, []
            self._waiting_bytes = 0
            lost, self._reported = self.dropped - self._reported, self.dropped
        if lost:
            reason = self._failure or "nobody reads them"
            lines.append(json_line({**_warning_now(), "event": "log_lines_dropped", "count": lost, "reason": reason}))
        return lines if self._form is None else list(map(self._form, lines))

    def _send(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:  # another process made it non-blocking
                _wait_until_writable(self._fd)
            except OSError as error:  # the reader has gone or the disk is full; the next batch tries again
                self._lost(bytes(rest).count(b"\n"), error.strerror or type(error).__name__)
                return
        self._failure = ""

    def _lost(self, lines: int, reason: str) -> None:
        with self._lock:
            self.dropped += lines
        if reason != self._failure:
            self._failure = reason
            _tell_on_standard_error(f"gateway: the log cannot be written: {reason}; lines are lost until it can\n")


def _tell_on_standard_error(words: str) -> None:
    with suppress(OSError):  # where that is closed, too, the metric is left
        os.write(_STANDARD_ERROR, words.encode())


def _wait_until_writable(fd: int) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    poll.poll(1000)


def _chunk_bytes(fd: int | None) -> int:
    try:
        plain_file = fd is not None and stat.S_ISREG(os.fstat(fd).st_mode)
    except OSError:
        plain_file = False
    return _FILE_CHUNK_BYTES if plain_file else PIPE_ATOMIC_BYTES


def _chunks(lines: list[bytes], limit_bytes: int) -> Iterator[bytes]:
    """Whole lines, joined as long as they fit into one write."""
    start = size = 0
    for index, line in enumerate(lines):
        if size and size + len(line) > limit_bytes:
            yield b"".join(lines[start:index])
            start, size = index, 0
        size += len(line)
    if size:
        yield b"".join(lines[start:])
