"""An event, whichever protocol brought it: its issuer, what happened, and whose tokens it is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.introspection.invalidation import ClaimName

# The names of events in metrics and logs. `other` is one that the gateway does not know.
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
# After these the provider's result for a token may be another one.
INVALIDATING: frozenset[EventName] = frozenset(
    {"logout", "session-revoked", "token-claims-change", "credential-change", "account-disabled", "not-before"}
)


@dataclass(frozen=True, slots=True)
class SubjectSelector:
    """Names the tokens whose claim `claim` is `value`, of `issuer` or else of the transmitter's own issuer."""

    claim: ClaimName
    value: str
    issuer: str | None = None


@dataclass(frozen=True, slots=True)
class SecurityEvent:
    """Holds what an event claims. Believe nothing of it before the signature is verified.

    `issuer` is `None` where only the signature says who sent it. `not_before` (wall clock): tokens of the subjects that
    were issued earlier are revoked, also when the gateway sees them for the first time later.
    """

    issuer: str | None
    audience: frozenset[str]
    id: str
    events: tuple[EventName, ...]
    subjects: tuple[SubjectSelector, ...]
    not_before: float | None = None

    @property
    def invalidates(self) -> bool:
        return not INVALIDATING.isdisjoint(self.events)
