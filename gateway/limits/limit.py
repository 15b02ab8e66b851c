"""A limit as deciding needs it, and whom it counts.

Whoever has the same value of `by` at the same provider shares one budget. A caller without a value counts by the
client's address, IPv6 by its /64, which is what a subscriber gets (RFC 6177).
"""

from __future__ import annotations

import hashlib

from gateway.authn.claims import claim_at
from gateway.authn.facts import Claims
from gateway.http.client_network import network_of

ADDRESS = ("address",)
OF_ADDRESSES = "address "  # what the identities of addresses begin with
# A longer value is told apart by its hash, so that no claim makes an identity cost more memory than others.
_VALUE_CHARS_MAX = 128


class CompiledLimit:
    """Allows `quota` requests within `window_s`, and `burst` at once, for each identity."""

    __slots__ = ("_hash", "burst", "by", "is_by_address", "item", "name", "policy", "quota", "rate_per_s", "window_s")

    def __init__(self, name: str, quota: int, window_s: float, burst: int, by: tuple[str, ...]) -> None:
        self.name = name
        self.quota = quota
        self.window_s = window_s
        self.burst = burst
        self.by = by
        self.is_by_address = by == ADDRESS
        self.rate_per_s = quota / window_s
        # What the fields call it (RateLimit header fields): a name of letters, digits and `_.:-`.
        self.item = f'"{name}"'
        self.policy = f"{self.item};q={quota};w={round(window_s)}"
        self._hash = hash(self._key())

    def __str__(self) -> str:
        return f"{self.name} ({self.quota} in {round(self.window_s)} s, {self.burst} at once)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CompiledLimit) and self._key() == other._key()

    def __hash__(self) -> int:
        return self._hash

    def _key(self) -> tuple[str, int, float, int, tuple[str, ...]]:
        return self.name, self.quota, self.window_s, self.burst, self.by


def identity_of(limit: CompiledLimit, realm: str | None, claims: Claims | None, address: str) -> str:
    """The text that stands for a caller under `limit`. Two callers have the same only if they share a budget.

    `realm` names the provider whose claims these are; without one there are no claims.
    """
    if claims is not None and realm is not None and not limit.is_by_address:
        value = claims.get(limit.by[0]) if len(limit.by) == 1 else claim_at(claims, limit.by)
        if value.__class__ is str and value:
            return f"claim {len(realm)} {realm} {_told('text', value)}"
        if isinstance(value, int | float) and not isinstance(value, bool):
            return f"claim {len(realm)} {realm} {_told('number', str(value))}"
    return OF_ADDRESSES + network_of(address)


def _told(kind: str, value: str) -> str:
    if len(value) <= _VALUE_CHARS_MAX:
        return f"{kind} {value}"
    return f"{kind}-hash {hashlib.sha256(value.encode('utf-8', 'surrogatepass')).hexdigest()}"
