"""A request to a backend as a value: what is asked, before there is a connection, in the words of no protocol.

The lanes make it, and the connection renders it. Whatever only HTTP/1.1 needs (the request line, the lines that frame
a body, the option `close`) is written there and nowhere else.
"""

from __future__ import annotations

from typing import Final, Protocol


class BodyFraming:
    """What follows the head: a body of `length` bytes, a body of unknown length, or another protocol.

    `length` is `None` where no length was declared. `is_upgrade`: the request asks to go on in WebSocket's frames
    (RFC 6455 §4.1).
    """

    __slots__ = ("is_chunked", "is_upgrade", "length")

    def __init__(self, length: int | None = None, *, is_chunked: bool = False, is_upgrade: bool = False) -> None:
        self.length = length
        self.is_chunked = is_chunked
        self.is_upgrade = is_upgrade


NO_BODY: Final = BodyFraming()
UNKNOWN_LENGTH: Final = BodyFraming(is_chunked=True)
WEBSOCKET: Final = BodyFraming(is_upgrade=True)


class Waits(Protocol):
    """How many seconds a backend has: for the head of its response, and then for each piece of the body."""

    @property
    def timeout(self) -> float: ...

    @property
    def read_timeout(self) -> float: ...


class BackendRequest:
    """The control data of a request (RFC 9110 §6.2) and how its body is framed. Fields and body go beside it."""

    __slots__ = ("authority", "framing", "method", "target")

    def __init__(self, method: str, authority: str, target: str, framing: BodyFraming) -> None:
        self.method = method
        self.authority = authority
        self.target = target
        self.framing = framing
