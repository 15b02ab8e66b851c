"""Checks that the bytes of a client's connection are valid HTTP/1.1, before any parser sees them.

The scanner follows requests: head, body, next head. It finds the first byte that no valid request has there. It also
removes trailers: aiohttp's parser lets the last one slip into the fields of the next request on the connection. llhttp
forgives faults that another parser may read differently (two blanks in a request line, empty lines without CR,
extensions and trailers of any length), and request smuggling uses the difference (CVE-2023-39326, CVE-2025-55315). The
scanner is stricter than the parser at every byte, so that the two cannot disagree on the end of a request: RFC 9112
§2.2, §3, §5, §7.1. Other modules decide what a head means.

How it works: `take` goes up to the end of one request. Bytes behind it wait until that request has its response, so
that a fault in them does not affect it. Behind the last request of a connection nothing is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from gateway.http.framing import request_problem
from gateway.http.head_fault import FAULT_LOOKED_AT_BYTES, head_fault
from gateway.http.headers import values_of
from gateway.http.plain_chunks import behind_whole_chunks
from gateway.http.refusal import Refusal
from gateway.http.request_line import (
    EMPTY_LINES,
    REQUEST_LINE,
    RequestLine,
    is_last_request,
    read_request_line,
    request_line_of,
    speaks_of_websocket,
)
from gateway.http.syntax import FIELD_TEXT_CHARS, TCHAR, chars_of
from gateway.http.unfinished import REFUSALS, Excess, HeadLimits, UnfinishedHead, excess_of_whole

_NAME = rb"[%b]++" % TCHAR.encode()
_TEXT = rb"[%b]*+" % FIELD_TEXT_CHARS.encode()
# Of values it says only where they end, and the rest is for `_TEXT_BYTES`: to look for one byte, and to strike many
# out, is far quicker than to match a class.
_HEAD = re.compile(rb"%b(?:%b:[^\r]*+\r\n)*+\r\n" % (REQUEST_LINE, _NAME))
_TEXT_BYTES = chars_of(FIELD_TEXT_CHARS)
_FIELD = re.compile(rb"%b:%b\r\n" % (_NAME, _TEXT))
# Fifteen digits are enough for any body and do not overflow. BWS before an extension is refused, as llhttp does.
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})(;%b)?+\r\n" % _TEXT)
# In an incomplete head, another parser might take these bytes for the end of a line or of the whole text.
_STRAY = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_FRAMING = re.compile(rb"\r\n((?i:connection|content-length|transfer-encoding|upgrade)):[ \t]*+([^\r]*+)")
# What its parser refuses of a head that is sound here.
_PARSERS_FAULT = "a field stands twice that may stand once, such as Host, or the parser takes a value for broken"
_SIZE_MAX_BYTES = len(b"fffffffffffffff\r\n")


class _UnsoundError(Exception):
    """Says that a byte is not allowed in its place."""


class Scanner:
    """Follows the requests of one connection. The parser gets a head only when it is complete.

    `limits` apply to heads while they arrive, and bound all extensions and trailers of a chunked body together.
    """

    __slots__ = (
        "_after_body",
        "_after_data",
        "_before",
        "_cuts",
        "_head_held",
        "_held",
        "_left",
        "_spare_bytes",
        "_step",
        "excess",
        "fault",
        "limits",
        "line",
    )

    def __init__(self, limits: HeadLimits) -> None:
        # The steps are kept as plain functions: bound methods would tie a knot that only the collector undoes.
        self._step: _Step = Scanner._head
        self._after_data: _Step = Scanner._head
        self._after_body: _Step = Scanner._head
        self.limits = limits
        self.excess: Excess | None = None  # of the head that was found unsound
        self.fault: str | None = None  # what was wrong with the head that was found unsound, for the log
        self.line: RequestLine | None = None  # of the latest head
        self._head_held = UnfinishedHead()
        self._before = b""  # of a head that has become whole: what came with earlier calls
        self._held = bytearray()  # of a line of a chunked body that is not whole yet
        self._left = 0  # bytes of data still to come
        self._cuts: list[tuple[int, int]] = []  # what of the bytes that are being taken is not for the parser
        self._spare_bytes = 0

    @property
    def held_bytes(self) -> int:
        """The bytes held of an incomplete head, or of an incomplete line of a chunked body."""
        return len(self._held) + len(self._head_held.held)

    @property
    def head_bytes(self) -> int:
        """The bytes held of an incomplete head."""
        return len(self._head_held.held)

    @property
    def is_between(self) -> bool:
        """Whether the next byte is the first of a request."""
        return self._step is Scanner._head and not self._head_held.held

    @property
    def is_behind_the_last(self) -> bool:
        """Whether no request can follow."""
        return self._step is Scanner._anything or (self.is_between and self.line is not None and self.line.is_last)

    @property
    def refusal(self) -> Refusal:
        """The refusal of the bytes that are not valid."""
        if self.excess is not None:
            return REFUSALS[self.excess]
        problem = None if self.line is None else self.line.problem
        return problem or Refusal(
            "invalid_request", "this is not a valid HTTP/1.1 request", reason=self.fault or _PARSERS_FAULT
        )

    def take(self, data: bytes) -> tuple[bytes, int, bool]:
        """Scan up to the end of one request. Return the bytes for the parser, the position behind them in `data`, and
        whether all were valid.

        After a `False` do not call it again. The parser gets nothing of an invalid head. A head that exceeds a limit is
        invalid, and `excess` says which limit.
        """
        position, is_sound = 0, True
        try:
            while position < len(data):
                before = self._step
                position = self._step(self, data, position)
                if self.is_between or (self._step is Scanner._anything and before is not Scanner._anything):
                    break
        except _UnsoundError:
            is_sound = False
        return self._for_the_parser(data if position == len(data) else data[:position]), position, is_sound

    def _for_the_parser(self, data: bytes) -> bytes:
        if not self._cuts and not self._before:
            return data
        pieces, position = [self._before], 0
        for start, end in self._cuts:
            pieces.append(data[position:start])
            position = end
        self._cuts.clear()
        self._before = b""
        return b"".join([*pieces, data[position:]])

    def _head(self, data: bytes, start: int) -> int:
        unfinished = self._head_held
        if not unfinished.held:
            found = _HEAD.match(data, start)
            if found is not None:
                return self._begin_body(found, found.end())
            lines_end = EMPTY_LINES.match(data, start)
            if data.find(b"\r\n\r\n", start if lines_end is None else lines_end.end()) >= 0:
                raise self._unsound(data[start:])
        return self._more_of_head(data, start)

    def _more_of_head(self, data: bytes, start: int) -> int:
        unfinished = self._head_held
        seen = len(unfinished.held)
        end = unfinished.add(data[start:])
        if not end:
            if _STRAY.search(unfinished.held, max(0, seen - 1)):
                raise self._unsound(unfinished.held)
            self.excess = unfinished.excess(self.limits)
            if self.excess is not None:
                raise self._unsound(unfinished.held, request_line_of(unfinished.held))
            self._cuts.append((start, len(data)))
            return len(data)
        head = bytes(unfinished.held[:end])
        unfinished.clear()
        found = _HEAD.fullmatch(head)
        if found is None:
            raise self._unsound(head)
        position = self._begin_body(found, start + len(head) - seen)
        self._before = head[:seen]
        return position

    def _unsound(self, head: bytes | bytearray, line: RequestLine | None = None) -> _UnsoundError:
        """Refuse a head. Its `line` is kept for the record if it is valid itself."""
        self.line = line
        self.fault = head_fault(bytes(head[:FAULT_LOOKED_AT_BYTES]))
        return _UnsoundError()

    def _begin_body(self, found: re.Match[bytes], position: int) -> int:
        head = found[0]
        line = read_request_line(found)
        if not _is_text(head):
            raise self._unsound(head)
        self.excess = excess_of_whole(self.limits, head, line)
        if not line.is_served or self.excess is not None:
            raise self._unsound(head, line)
        self.line = line
        fields = [
            (name.decode().lower(), value.decode("latin-1").rstrip(" \t")) for name, value in _FRAMING.findall(head)
        ]
        if is_last_request(line.version, fields):
            self.line = line._replace(is_last=True)
        self.fault = request_problem(line.version, fields)
        if self.fault:
            self._step = Scanner._anything  # it is refused, and its connection ends
            return position
        self._step = self._after_body = Scanner._anything if speaks_of_websocket(fields) else Scanner._head
        if values_of(fields, "transfer-encoding"):
            self._spare_bytes = self.limits.bytes_max
            self._step = Scanner._chunk
        elif lengths := values_of(fields, "content-length"):
            self._expect(int(lengths[0]), self._after_body)
        return position

    def _anything(self, data: bytes, _start: int) -> int:
        return len(data)

    def _expect(self, size: int, after: _Step) -> None:
        self._left, self._after_data = size, after
        self._step = Scanner._data if size else after

    def _data(self, data: bytes, start: int) -> int:
        taken = min(self._left, len(data) - start)
        self._left -= taken
        if not self._left:
            self._step = self._after_data
        return start + taken

    def _chunk(self, data: bytes, start: int) -> int:
        if not self._held and (behind := behind_whole_chunks(data, start)) > start:
            return behind
        line, position = self._line(data, start)
        if line is not None:
            found = _CHUNK.fullmatch(line)
            if found is None:
                raise _UnsoundError
            self._spend(found[2])
            self._expect(int(found[1], 16), Scanner._chunk_end)
            if not self._left:
                self._step = Scanner._trailer
        return position

    def _chunk_end(self, data: bytes, start: int) -> int:
        return self._line_end(data, start, Scanner._chunk)

    def _trailer(self, data: bytes, start: int) -> int:
        if self._held == b"\r" or (not self._held and data.startswith(b"\r", start)):
            return self._line_end(data, start, self._after_body)
        line, position = self._line(data, start)
        if line is not None:
            if _FIELD.fullmatch(line) is None:
                raise _UnsoundError
            self._spend(line)
        self._cuts.append((start, position))
        return position

    def _line_end(self, data: bytes, start: int, after: _Step) -> int:
        held = self._held
        part = data[start : start + 2 - len(held)]
        held += part
        if not b"\r\n".startswith(held):
            raise _UnsoundError
        if len(held) == len(b"\r\n"):
            held.clear()
            self._step = after
        return start + len(part)

    def _spend(self, extra: bytes | None) -> None:
        self._spare_bytes -= len(extra or b"")
        if self._spare_bytes < 0:
            raise _UnsoundError

    def _line(self, data: bytes, start: int) -> tuple[bytes | None, int]:
        """The line with its end, or `None` while the end is missing; and the position behind."""
        held = self._held
        end = data.find(b"\n", start) + 1
        seen = len(held)
        held += data[start:end] if end else data[start:]
        if len(held) > self._spare_bytes + _SIZE_MAX_BYTES:
            raise _UnsoundError
        if end:
            line = bytes(held)
            held.clear()
            return line, end
        if held.find(b"\r", max(0, seen - 1), len(held) - 1) >= 0:
            raise _UnsoundError
        return None, len(data)


def _is_text(head: bytes) -> bool:
    """Whether the control bytes in `head`, apart from tabs, are only pairs of CR and LF."""
    line_ends = head.translate(None, _TEXT_BYTES)
    return line_ends == b"\r\n" * (len(line_ends) // 2)


_Step = Callable[[Scanner, bytes, int], int]
