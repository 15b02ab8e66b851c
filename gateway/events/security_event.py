"""What an event says, whichever protocol brought it: who sent it, what happened, and whose tokens it is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.introspection.invalidation import ClaimName

# The words that metrics and logs have for events; `other` is one that the gateway does not know.
EventName = Literal[
    "logout",
    "session-revoked",
    "token-claims-change",
    "credential-change",
    "account-disabled",
    "not-before",
    "verification",
    "stream-updated",
    "other",
]
# After these the provider's answer about a token may be another one.
EVICTING: frozenset[EventName] = frozenset(
    {"logout", "session-revoked", "token-claims-change", "credential-change", "account-disabled", "not-before"}
)


@dataclass(frozen=True, slots=True)
class SubjectSelector:
    """Tokens whose claim `kind` is `value`, of the issuer that is named, or else of the sender's own."""

    kind: ClaimName
    value: str
    issuer: str | None = None


@dataclass(frozen=True, slots=True)
class SecurityEvent:
    """Nothing of it is to be believed before the signature was verified.

    `issuer` is `None` where only the signature says who sent it. `not_before`, on the wall clock: what the aims name
    and was issued earlier is revoked, also when it is seen for the first time later.
    """

    issuer: str | None
    audience: frozenset[str]
    id: str
    events: tuple[EventName, ...]
    aims: tuple[SubjectSelector, ...]
    not_before: float | None = None

    @property
    def evicts(self) -> bool:
        return not EVICTING.isdisjoint(self.events)
