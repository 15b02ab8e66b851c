"""A question about a token, and the result of looking it up."""

from __future__ import annotations

from typing import Literal

from gateway.authn.bearer import Token
from gateway.authn.facts import IntrospectionResult, TooMany

Tier = Literal["local", "redis", "provider"]


class Question:
    """Asks for a result about `token` at `provider` that is younger than `max_age_s`, or fresh in the cache (`None`).

    Facts that are older by up to `stale_s` will do when the provider cannot tell; with `None`, none will. The question
    waits in the name of the client at `address`. Two clients that ask about one token share one lookup.
    """

    __slots__ = ("address", "max_age_s", "provider", "stale_s", "token")

    def __init__(
        self,
        provider: str,
        token: Token,
        max_age_s: float | None = None,
        stale_s: float | None = None,
        address: str = "",
    ) -> None:
        self.provider = provider
        self.token = token
        self.max_age_s = max_age_s
        self.stale_s = stale_s
        self.address = address

    def to(self, provider: str) -> Question:
        """The same to another provider."""
        return Question(provider, self.token, self.max_age_s, self.stale_s, self.address)

    def within(self, max_age_s: float | None, stale_s: float | None, address: str | None = None) -> Question:
        """The same under other bounds; for another address, where one is given."""
        return Question(self.provider, self.token, max_age_s, stale_s, self.address if address is None else address)


class FactsLookup:
    """Holds a result and the tier that it came from. `stale_s` is the age of facts that are used although not fresh.

    `tier` is `None` where no tier was asked.
    """

    __slots__ = ("result", "stale_s", "tier")

    def __init__(self, result: IntrospectionResult | TooMany, tier: Tier | None, stale_s: float | None = None) -> None:
        self.result = result
        self.tier = tier
        self.stale_s = stale_s
