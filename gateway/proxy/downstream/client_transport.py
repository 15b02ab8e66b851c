"""The sending side of a client's connection: what is written, what the client has not taken of it, and the hard end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct


class ClientTransport:
    """Writes to the client. `is_congested` says that the client takes less than is written.

    `handshake` is the socket while TLS is not there yet; and so no transport.
    """

    __slots__ = ("handshake", "is_congested", "transport", "unread_bytes")

    transport: asyncio.Transport  # from `connection_made` on

    def __init__(self) -> None:
        self.handshake: socket.socket | None = None
        self.is_congested = False
        self.unread_bytes = 0  # when it was looked at last

    @property
    def is_gone(self) -> bool:
        return self.transport.is_closing()

    @property
    def descriptor(self) -> int:
        """Of its socket; -1 where it is closed."""
        sock = self.transport.get_extra_info("socket")
        return -1 if sock is None else int(sock.fileno())

    @property
    def has_unsent(self) -> bool:
        return self.transport.get_write_buffer_size() > 0

    def write(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)

    def abort(self, *, by_reset: bool) -> None:
        """End it so that a response cut short is not taken for a whole one (RFC 9112 §8)."""
        sock = self.transport.get_extra_info("socket")
        if by_reset and sock is not None:  # for HTTP/1.0 the connection's end ends a body, and a reset does not
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def cut(self) -> None:
        """End it at once, whatever it is at."""
        if self.handshake is not None:
            with contextlib.suppress(OSError):  # the client was faster
                self.handshake.shutdown(socket.SHUT_RDWR)
        else:
            self.transport.abort()

    def falls_behind(self) -> None:
        self.is_congested = True
        self.unread_bytes = self.transport.get_write_buffer_size()

    def has_stalled(self) -> bool:
        """Whether the client has taken nothing of what is written since this was asked last."""
        before, self.unread_bytes = self.unread_bytes, self.transport.get_write_buffer_size()
        return self.unread_bytes >= before
