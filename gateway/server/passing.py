"""A backend's answer on its way to the client: aiohttp's response without what aiohttp would add of its own."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web
from multidict import CIMultiDict


class PassedResponse(web.StreamResponse):
    """An answer whose head is the backend's. `headers` are complete but for the framing and `Date`."""

    def __init__(self, status: int, reason: str, headers: Iterable[tuple[str, str]]) -> None:
        self._names = frozenset(name.lower() for name, _ in headers)
        super().__init__(status=status, reason=reason, headers=CIMultiDict(headers))

    def drop_additions(self) -> None:
        """Take away what aiohttp filled in where the backend had said nothing."""
        for name in ("Server", "Content-Type"):
            if name.lower() not in self._names:
                self.headers.popall(name, None)


class SwitchedResponse(PassedResponse):
    """A 101: after it, the connection carries another protocol and has no framing (RFC 9110 §15.2.2)."""

    _length_check = False


def drop_additions(response: web.StreamResponse) -> None:
    """For every response just before it is sent: nothing tells which server this is."""
    if isinstance(response, PassedResponse):
        response.drop_additions()
    else:
        response.headers.popall("Server", None)
