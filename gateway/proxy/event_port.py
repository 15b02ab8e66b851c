"""The port by which the lane hands over what concerns revocations; behind it is `gateway.runtime.event_endpoint`."""

from __future__ import annotations

from typing import Protocol

from aiohttp import web

from gateway.decision import Allow, Receive
from gateway.events.verdict import DeliveryReply
from gateway.http.refusal import Refusal
from gateway.introspection.invalidation import SeenEvent
from gateway.proxy.access_record import AccessRecord


class Passing(Protocol):
    """A revocation that goes on to the provider. `body` is all of its body, read already."""

    body: bytes

    async def answered(self, status: int) -> Refusal | None:
        """The backend has answered with `status`; to be awaited before the client hears of it.

        A refusal, to be sent in the place of that response, where the token may still be remembered somewhere.
        """
        ...

    def lost(self) -> None:
        """It may have reached the backend, and no response will be seen."""


class EventPort(Protocol):
    def remember(self, seen: SeenEvent) -> None:
        """Another worker of the instance has acted on an event."""
        ...

    async def receive(self, request: web.Request, received: Receive, record: AccessRecord) -> DeliveryReply | Refusal:
        """The response to an event of a provider."""
        ...

    async def passing(self, request: web.Request, allow: Allow, record: AccessRecord) -> Passing | Refusal | None:
        """What there is to know of a request before it goes on; `None` for one that revokes nothing."""
        ...
