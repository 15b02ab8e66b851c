"""What is asked about a token, and what was found."""

from __future__ import annotations

from typing import Literal

from gateway.authn.bearer import Token
from gateway.authn.facts import IntrospectionResult, TooMany
from gateway.http.immutable import immutable

Tier = Literal["local", "redis", "provider"]


@immutable
class Question:
    """Who is `token` at `provider`, by facts younger than `max_age_s`? `None`: as young as the cache holds them.

    Facts that are older by up to `stale_s` will do when the provider cannot tell; with `None`, none will. `address` is
    the client's, in whose name the question waits; two clients that ask about one token ask the same all the same.
    """

    provider: str
    token: Token
    max_age_s: float | None = None
    stale_s: float | None = None
    address: str = ""


@immutable
class FactsLookup:
    """`stale_s` is the age of facts that only stand in, since they were introspected; of all others it is `None`."""

    answer: IntrospectionResult | TooMany
    tier: Tier | None  # None: nobody was asked
    stale_s: float | None = None
