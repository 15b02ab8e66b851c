"""What a relay has at its ends: the connection to the backend, and the tunnel that the exchange may have become."""

from __future__ import annotations

from typing import Protocol

from gateway.http.frames import Frames
from gateway.proxy.upstream.backend_request import BackendRequest, Waits
from gateway.proxy.upstream.response_sink import ResponseSink


class BackendEnd(Protocol):
    """The backend's connection, as a response sees it; `gateway.proxy.upstream.connection` says what each does."""

    def send(
        self, sink: ResponseSink, request: BackendRequest, fields: bytes, body: bytes | None, limits: Waits
    ) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def abandon(self) -> None: ...

    def end(self) -> None: ...


class TunnelEnds(Protocol):
    """What goes both ways after a 101; `gateway.proxy.streams.tunnel` says what each does."""

    def client_has_ended(self) -> bool: ...

    def backend_has_ended(self) -> bool: ...

    def is_abandoned(self, now_s: float, idle_timeout_s: float) -> bool: ...

    def stop(self, reason: str, to_client: Frames) -> bool: ...
