"""The part of Redis' protocol that lookups and leases need (RESP2), for a server that may say anything.

Redis' own library costs more per reply than all the rest of a lookup, and hiredis believes a server: it makes room for
as many elements as a reply announces, and to free two thousand million of them takes ten seconds. Here every length
has its bound before anything is done about it. Whatever is outside of these bounds is `InvalidResponse`, and the end of
the connection.

Pure: commands become bytes, and bytes that came become replies.
"""

from __future__ import annotations

from typing import Final

from redis.exceptions import InvalidResponse

from gateway.http.immutable import immutable

# A line is a number or an error's text: Redis' own are below 200 characters.
_LINE_BYTES_MAX = 1024
_ELEMENTS_MAX = 16
_STATUS, _ERROR, _NUMBER, _BULK, _ARRAY = b"+-:$*"
_ABSENT = -1
_EXCERPT = 100


@immutable
class ErrorReply:
    """Redis refused one command. `code` is its first word, as WRONGTYPE or MOVED; for the operator's eyes alone."""

    code: str


Scalar = bytes | int | ErrorReply | None
Reply = Scalar | list[Scalar]


def packed(*command: bytes) -> bytes:
    """A command as it is sent."""
    return b"".join([b"*%d\r\n" % len(command), *(b"$%d\r\n%b\r\n" % (len(part), part) for part in command)])


class _Incomplete(Exception):  # noqa: N818 - no error: more will come
    """`wanted_bytes` is how much has to be there, from the reply's beginning, before it is worth another look."""

    def __init__(self, wanted_bytes: int) -> None:
        self.wanted_bytes = wanted_bytes


class ReplyParser:
    """`bulk_bytes_max` is the most that one text in a reply may have."""

    def __init__(self, bulk_bytes_max: int) -> None:
        self._bulk_bytes_max: Final = bulk_bytes_max
        self._rest = bytearray()  # the beginning of a reply
        self._wanted_bytes = 0
        self._at = 0

    def feed(self, data: bytes) -> list[Reply]:
        """The replies that are whole now. Raises `InvalidResponse`; nothing may be fed after that."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._wanted_bytes:
                return []
            data, self._rest = bytes(self._rest), bytearray()
        replies: list[Reply] = []
        self._at = begin = 0
        end = len(data)
        try:
            while begin < end:
                replies.append(self._reply(data))
                begin = self._at
        except _Incomplete as incomplete:
            self._wanted_bytes = incomplete.wanted_bytes - begin
            self._rest = bytearray(data[begin:])
        return replies

    def _reply(self, data: bytes) -> Reply:
        if data[self._at] != _ARRAY:
            return self._scalar(data)
        elements = self._line_number(data)
        if elements == _ABSENT:
            return None
        if not 0 <= elements <= _ELEMENTS_MAX:
            raise InvalidResponse("an array that is too long")
        return [self._scalar(data) for _ in range(elements)]

    def _scalar(self, data: bytes) -> Scalar:
        if self._at >= len(data):
            raise _Incomplete(len(data) + 1)
        kind = data[self._at]
        if kind == _NUMBER:
            return self._line_number(data)
        if kind == _BULK:
            return self._bulk(data)
        if kind == _STATUS:
            return self._line(data)
        if kind == _ERROR:
            return ErrorReply(self._line(data).partition(b" ")[0].decode("ascii", "replace")[:_EXCERPT])
        raise InvalidResponse("a kind of reply that was not asked for")

    def _bulk(self, data: bytes) -> bytes | None:
        length = self._line_number(data)
        if length == _ABSENT:
            return None
        if not 0 <= length <= self._bulk_bytes_max:
            raise InvalidResponse("a text that is too long")
        begin = self._at
        end = begin + length
        self._at = end + 2
        if self._at > len(data):
            raise _Incomplete(self._at)
        if data[end : self._at] != b"\r\n":
            raise InvalidResponse("a text that does not end where it should")
        return data[begin:end]

    def _line_number(self, data: bytes) -> int:
        try:
            return int(self._line(data))
        except ValueError:
            raise InvalidResponse("no number where there should be one") from None

    def _line(self, data: bytes) -> bytes:
        """What stands behind the first byte, up to the line's end."""
        begin = self._at + 1
        end = data.find(b"\r\n", begin, begin + _LINE_BYTES_MAX)
        if end < 0:
            if len(data) - begin >= _LINE_BYTES_MAX:
                raise InvalidResponse("a line that is too long")
            raise _Incomplete(len(data) + 1)
        self._at = end + 2
        return data[begin:end]
