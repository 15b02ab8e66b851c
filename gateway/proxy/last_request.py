"""The last request of a client's connection, kept for a client that sends the same bytes again.

A client that polls sends the same request over and over on one connection. Deciding is pure: from the same bytes of the
same peer, under the same compiled configuration, comes the same question about the token. So that much is decided once.
The facts of the token are looked up and judged each time.

Nothing is compared but the whole of what came, and nothing goes from one connection to another. A request that comes
once costs a comparison of lengths.
"""

from __future__ import annotations

from typing import Final

from gateway.authn.presented import AS_BEARER
from gateway.compiled import CompiledConfig
from gateway.decision import Allow, Decision, NeedsFacts
from gateway.request import Request

# An idle connection holds no more than this.
_DATA_BYTES_MAX: Final = 2048


class LastRequest:
    """Holds the bytes of the last ordinary request and, once they came twice, what was decided on them."""

    __slots__ = ("_compiled", "_data", "body", "decision", "request")

    def __init__(self) -> None:
        self._compiled: CompiledConfig | None = None
        self._data = b""
        self.body: bytes | None = None
        self.request: Request | None = None
        self.decision: Allow | NeedsFacts | None = None

    def is_same(self, compiled: CompiledConfig, data: bytes) -> bool:
        """Whether the same came last, and what was decided on it holds."""
        return self._data == data and self._compiled is compiled

    def note(
        self, compiled: CompiledConfig, data: bytes, request: Request, body: bytes | None, decision: Decision
    ) -> None:
        """Note what came, and what was decided where the same came before. A proof is new each time."""
        is_plain = decision.context.presented is AS_BEARER
        if is_plain and isinstance(decision, (Allow, NeedsFacts)) and self.is_same(compiled, data):
            self.request, self.body, self.decision = request, body, decision
            return
        self._compiled = compiled
        self._data = data if is_plain and len(data) <= _DATA_BYTES_MAX else b""
        self.request = self.body = self.decision = None
