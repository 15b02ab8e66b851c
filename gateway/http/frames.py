"""Finds the ends of WebSocket frames (RFC 6455 §5.2) that pass by in one direction.

The gateway may send a frame of its own, such as a close frame, only between two others; within one it would be read as
payload. Only an unfinished head is kept. The contents are not checked: they concern only the two ends.
"""

from __future__ import annotations

_CLOSE = 0x8
_FIN = 0x80
_HEAD_MIN_BYTES = 2
_SHORT_MAX = 125
_LONG = 127
_MASK_BYTES = 4


class Frames:
    """Follows one direction of a connection. `has_closed`: a close frame has begun; nothing may follow it."""

    __slots__ = ("_head", "_left", "has_closed")

    def __init__(self) -> None:
        self._head = b""  # of a frame whose head is not whole yet
        self._left = 0  # of the payload under way
        self.has_closed = False

    @property
    def is_between(self) -> bool:
        """Whether the last frame is whole and the next one has not begun."""
        return not self._left and not self._head

    def feed(self, data: bytes) -> None:
        """Take the bytes that have passed by; give each byte once."""
        at, end = self._left, len(data)
        if at >= end:
            self._left = at - end
            return
        if self._head:
            data = self._head + data  # a head has begun, so no payload is left
            end = len(data)
        while at < end:
            head = _head(data, at)
            if head is None:
                self._head, self._left = data[at:], 0
                return
            if data[at] & 0x0F == _CLOSE:
                self.has_closed = True
            at += head
        self._head, self._left = b"", at - end


def _head(data: bytes, at: int) -> int | None:
    """The length of the frame at `at`, including its head; `None` where the head is not complete."""
    if len(data) < at + _HEAD_MIN_BYTES:
        return None
    second = data[at + 1]
    size, length = _HEAD_MIN_BYTES, second & 0x7F
    if length > _SHORT_MAX:
        extended = 8 if length == _LONG else 2
        size += extended
        length = int.from_bytes(data[at + 2 : at + 2 + extended], "big")
    if second & 0x80:
        size += _MASK_BYTES
    return None if len(data) < at + size else size + length


def close_frame(code: int, reason: str, mask: bytes | None = None) -> bytes:
    """RFC 6455 §5.5.1. With `mask`, of four random bytes, as clients must send it (§5.3)."""
    payload = code.to_bytes(2, "big") + reason.encode()[: _SHORT_MAX - 2]
    if mask is None:
        return bytes((_FIN | _CLOSE, len(payload))) + payload
    masked = bytes(byte ^ mask[index % _MASK_BYTES] for index, byte in enumerate(payload))
    return bytes((_FIN | _CLOSE, 0x80 | len(payload))) + mask + masked
