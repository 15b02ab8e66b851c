"""The part of Redis' protocol (RESP2) that lookups need, written for a server that may send anything.

Redis' own library costs more for each reply than the rest of a lookup. hiredis believes the server: it makes room for
as many elements as a reply announces, and freeing two thousand million of them takes ten seconds. This parser checks
every length against a bound before it acts on it. A reply outside of the bounds raises `InvalidResponse`, which ends
the connection.

Pure: turns commands into bytes, and received bytes into replies.
"""

from __future__ import annotations

from dataclasses import field
from typing import Final

from redis.exceptions import InvalidResponse

from gateway.http.immutable import immutable

# A line is a number or the text of an error. Those of Redis are shorter than 200 characters.
_LINE_BYTES_MAX = 1024
_ELEMENTS_MAX = 16
_STATUS, _ERROR, _NUMBER, _BULK, _ARRAY = b"+-:$*"
_ABSENT = -1
_EXCERPT = 100


@immutable
class ErrorReply:
    """Says that Redis refused one command. `code` is the first word, such as WRONGTYPE, and `words` are for the log."""

    code: str
    words: str = field(default="", compare=False)


Scalar = bytes | int | ErrorReply | None
Reply = Scalar | list[Scalar]


def packed(*command: bytes) -> bytes:
    """The bytes of a command."""
    return b"".join([b"*%d\r\n" % len(command), *(b"$%d\r\n%b\r\n" % (len(part), part) for part in command)])


class _Incomplete(Exception):  # noqa: N818 - no error: more will come
    """Says that a reply is not complete. Parsing again is of use once `wanted_bytes` of the data have come."""

    def __init__(self, wanted_bytes: int) -> None:
        self.wanted_bytes = wanted_bytes


class ReplyParser:
    """Makes replies of received bytes. `bulk_bytes_max` bounds each text in a reply."""

    def __init__(self, bulk_bytes_max: int) -> None:
        self._bulk_bytes_max: Final = bulk_bytes_max
        self._rest = bytearray()  # the beginning of a reply
        self._wanted_bytes = 0
        self._at = 0

    def feed(self, data: bytes) -> list[Reply]:
        """Return the replies that are complete now. After `InvalidResponse` nothing more may be fed."""
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
        reply_type = data[self._at]
        if reply_type == _NUMBER:
            return self._line_number(data)
        if reply_type == _BULK:
            return self._bulk(data)
        if reply_type == _STATUS:
            return self._line(data)
        if reply_type == _ERROR:
            words = self._line(data).decode("ascii", "replace")
            return ErrorReply(words.partition(" ")[0][:_EXCERPT], words.removeprefix("ERR "))
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
        """The text between the first byte and the end of the line."""
        begin = self._at + 1
        end = data.find(b"\r\n", begin, begin + _LINE_BYTES_MAX)
        if end < 0:
            if len(data) - begin >= _LINE_BYTES_MAX:
                raise InvalidResponse("a line that is too long")
            raise _Incomplete(len(data) + 1)
        self._at = end + 2
        return data[begin:end]
