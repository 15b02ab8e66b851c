"""What is asked about a token, and what was found."""

from __future__ import annotations

from typing import Literal

from gateway.authn.bearer import Token
from gateway.authn.facts import Answer
from gateway.http.record import record

Tier = Literal["local", "redis", "provider"]


@record
class Question:
    """Who is `token` at `provider`, by facts younger than `max_age_s`? `None`: as young as the cache holds them."""

    provider: str
    token: Token
    max_age_s: float | None = None


@record
class Found:
    answer: Answer
    tier: Tier
