"""A relay for the general lane, which waits for its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.http.location import Outside
from gateway.proxy.access_record import AccessRecord
from gateway.proxy.relay import Relay
from gateway.proxy.upstream.backend_error import BackendError

if TYPE_CHECKING:
    from gateway.proxy.downstream.client_connection import ClientConnection


class AwaitedRelay(Relay):
    """Says by a future when it is over."""

    def __init__(
        self,
        future: asyncio.Future[BackendError | None],
        client: ClientConnection,
        record: AccessRecord,
        *,
        is_http10: bool,
        keeps_alive: bool,
        more_fields: bytes,
        switch: Callable[[], None] | None,
        outside: Callable[[], Outside],
    ) -> None:
        super().__init__(client, record)
        self._is_http10 = is_http10
        self._more_fields = more_fields
        self._switch = switch
        self.keeps_alive = keeps_alive
        self._future = future
        self._from_outside = outside

    def _outside(self) -> Outside:
        return self._from_outside()

    def forget_tunnel(self) -> None:
        """The exchange is over. What a tunnel is made of refers to this relay."""
        self.tunnel = self.on_room = self._switch = None

    def over(self, error: BackendError | None) -> None:
        if not self._future.done():
            self._future.set_result(error)
