"""The tunnel after a 101: bytes go both ways, and they are no longer HTTP.

Bytes that the client sent right behind its upgrade request stay unread until the backend has switched; then the
gateway passes them on. Each direction pauses while the receiving end does not take what it already has.

Each direction ends on its own: when one end stops sending, the gateway tells the other, which may go on sending
(RFC 9293 §3.6). An end whose process is gone looks the same. So the gateway ends a tunnel that is half closed and
has been silent for the idle timeout.

The gateway may also end a tunnel. Where the stream stands between two frames, the client gets a close frame and half
a second to answer it. An abort would throw away what the client has not read yet, the close frame included.
"""

from __future__ import annotations

import asyncio
import secrets

from gateway.http.frames import Frames, close_frame
from gateway.proxy.access_record import AccessRecord
from gateway.proxy.relay import Relay
from gateway.proxy.upstream.connection import BackendConnection

_POLICY_VIOLATION = 1008  # RFC 6455 §7.4.1
_GOING_AWAY = 1001
_MASK_BYTES = 4
_LAST_WORDS_S = 0.5


class Tap:
    """Takes the bytes of an upgraded client connection from aiohttp, as its payload parser, and sends them on."""

    def __init__(
        self, client: asyncio.Transport, backend: BackendConnection, relay: Relay, record: AccessRecord
    ) -> None:
        self._client = client
        self._backend = backend
        self._record = record
        self._relay = relay
        self._is_paused = False
        self._to_backend = Frames()
        self._has_client_ended = False
        self._has_backend_ended = False
        self._is_stopping = False
        self._moved_bytes = 0  # in both directions, when the sweep last looked
        self._silent_since_s = asyncio.get_running_loop().time()
        relay.on_room = self._resume

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self._to_backend.feed(data)
        if self._is_stopping:
            if self._to_backend.has_closed:
                self._relay.tunnel_is_over()  # the client has answered the close frame
            return False, b""
        self._record.bytes_received += len(data)
        self._backend.write(data)
        if not self._backend.is_writable:
            # Pause again even if already paused: aiohttp resumes once it has handed over what it had kept.
            self._is_paused = True
            self._client.pause_reading()
        return False, b""

    def feed_eof(self) -> None:
        """Nothing to do: the end of the client's connection cancels its handler, and that ends the tunnel."""

    def client_has_ended(self) -> bool:
        """The client sends no more. The result: whether it may still be sent something."""
        self._has_client_ended = True
        if self._is_stopping or self._has_backend_ended:
            return False
        return self._backend.write_eof()

    def backend_has_ended(self) -> bool:
        """The backend sends no more. The result: whether it may still be sent something."""
        self._has_backend_ended = True
        if self._has_client_ended or not self._client.can_write_eof():
            return False
        self._client.write_eof()
        return True

    def is_abandoned(self, now_s: float, idle_timeout_s: float) -> bool:
        """Whether only one end is left and nothing has moved for `idle_timeout_s`."""
        moved_bytes = self._record.bytes_received + self._record.bytes_sent
        if moved_bytes != self._moved_bytes or not (self._has_client_ended or self._has_backend_ended):
            self._moved_bytes, self._silent_since_s = moved_bytes, now_s
        return now_s - self._silent_since_s >= idle_timeout_s

    def stop(self, reason: str, to_client: Frames) -> bool:
        """End both directions. The result: whether the client got a close frame and may still answer it."""
        self._is_stopping = True
        loop = asyncio.get_running_loop()
        if self._to_backend.is_between and not self._to_backend.has_closed:
            self._backend.write(close_frame(_GOING_AWAY, "", secrets.token_bytes(_MASK_BYTES)))
        self._backend.end()
        loop.call_later(_LAST_WORDS_S, self._backend.abandon)  # it may not take what was written
        if self._has_client_ended or to_client.has_closed or not to_client.is_between:
            return False
        self._resume()
        if not self._has_backend_ended:
            self._client.write(close_frame(_POLICY_VIOLATION, reason))
            if self._client.can_write_eof():
                self._client.write_eof()
        loop.call_later(_LAST_WORDS_S, self._relay.tunnel_is_over)
        return True

    def _resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self._client.resume_reading()
