"""A question about a token, and the result of looking it up."""

from __future__ import annotations

from typing import Literal

from gateway.authn.bearer import Token
from gateway.authn.facts import IntrospectionResult, TooMany
from gateway.http.immutable import immutable

Tier = Literal["local", "redis", "provider"]


@immutable
class Question:
    """Asks for a result about `token` at `provider` that is younger than `max_age_s`, or fresh in the cache (`None`).

    Facts that are older by up to `stale_s` will do when the provider cannot tell; with `None`, none will. The question
    waits in the name of the client at `address`. Two clients that ask about one token share one lookup.
    """

    provider: str
    token: Token
    max_age_s: float | None = None
    stale_s: float | None = None
    address: str = ""


@immutable
class FactsLookup:
    """Holds a result and the tier that it came from. `stale_s` is the age of facts that are used although not fresh."""

    answer: IntrospectionResult | TooMany
    tier: Tier | None  # None: no tier was asked
    stale_s: float | None = None
