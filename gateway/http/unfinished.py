"""The head of a request while it arrives: held once, as it came, and counted field by field.

A parser that is fed piece by piece makes an object of each field before anybody counts them: 60 KiB of fields of five
bytes were 340 KiB. What is too long or too much is known here with the byte that makes it so (RFC 9110 §15.5.15,
RFC 6585 §5); an exact look at what the fields mean follows once the head is whole. A head may also arrive whole: one
read brings up to 256 KiB. Then it is read where it has a little too much, because its refusal should carry what a
trusted proxy says of the request, and is counted before that where it has far too much.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from gateway.http.refusal import Refusal
from gateway.http.request_line import EMPTY_LINES, RequestLine

_LINE_END = b"\r\n"
_HEAD_END = b"\r\n\r\n"
_END_BEGUN = (_LINE_END, b"\r\n\r")
_FAR = 2  # times what is allowed


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """Bounds a head. `bytes_max` applies to the target, and to all fields together."""

    bytes_max: int
    fields_max: int


class Excess(Enum):
    """Names the limit that a head exceeds."""

    TARGET = "target"
    FIELDS = "fields"


REFUSALS = {
    Excess.TARGET: Refusal("uri_too_long", "the request target is too long"),
    Excess.FIELDS: Refusal("headers_too_large", "the header fields are too large or too many"),
}


def has_far_too_much(limits: HeadLimits, head_bytes: int, fields: int) -> bool:
    """Whether a whole head has so many bytes or fields that nobody should make objects of them."""
    # The target and the fields may each have that many bytes.
    return head_bytes > _FAR * 2 * limits.bytes_max or fields > _FAR * limits.fields_max


def excess_of_whole(limits: HeadLimits, head: bytes, line: RequestLine) -> Excess | None:
    """What a whole head, which begins with `line`, has far too much of."""
    if not has_far_too_much(limits, len(head), head.count(_LINE_END, line.size_bytes) - 2):
        return None
    return Excess.TARGET if len(line.target) > limits.bytes_max else Excess.FIELDS


class UnfinishedHead:
    """Collects the heads of one connection; `held` is empty between two heads."""

    __slots__ = ("_fields", "_fields_start", "held")

    def __init__(self) -> None:
        self.held = bytearray()
        self._fields = 0  # lines of fields that are whole
        self._fields_start = 0  # where the first of them begins; 0 while the request line is not whole

    def add(self, data: bytes) -> int:
        """Add `data`. Return the position in `held` behind the head's empty line, or 0 while the head is incomplete."""
        held = self.held
        seen = len(held)
        held += data
        lines_end = self._behind_empty_lines()
        end = held.find(_HEAD_END, max(lines_end, seen - 3)) + len(_HEAD_END)
        if end >= len(_HEAD_END):
            return end
        start = max(0, seen - 1)
        if not self._fields_start:
            line_end = held.find(_LINE_END, max(lines_end, start))
            start = self._fields_start = 0 if line_end < 0 else line_end + len(_LINE_END)
        if self._fields_start:
            self._fields += held.count(_LINE_END, start)
        return 0

    def excess(self, limits: HeadLimits) -> Excess | None:
        """The limit that is exceeded already, whatever follows."""
        if not self._fields_start:
            # Neither a method nor a target may be longer, and `target HTTP/1.1` is not told apart from them here.
            # They are looked for in place: a client may send them byte by byte.
            method_end = self.held.find(b" ")
            target_end = self.held.find(b" ", method_end + 1)
            longest = max(method_end, (len(self.held) if target_end < 0 else target_end) - method_end - 1)
            return Excess.TARGET if longest > limits.bytes_max else None
        held = self.held
        begun = not held.endswith(_END_BEGUN)
        size = len(held) - self._fields_start - held.endswith(_END_BEGUN[1])
        if self._fields + begun > limits.fields_max or size > limits.bytes_max:
            return Excess.FIELDS
        return None

    def clear(self) -> None:
        self.held.clear()
        self._fields = self._fields_start = 0

    def _behind_empty_lines(self) -> int:
        """The position of the request line: empty lines before it do not end a head (RFC 9112 §2.2)."""
        found = EMPTY_LINES.match(self.held)
        return 0 if found is None else found.end()
