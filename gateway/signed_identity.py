"""Makes the JWT that tells a backend who is calling, and that the backend can verify by itself.

Pure: `now` is passed in. A token is made once for some facts and one route's rules, and again when two thirds of its
time are over, so that a backend whose clock is a little ahead still takes it. It never outlives the caller's own token.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import jwt

from gateway.authn.claims import claim_at
from gateway.authn.facts import Facts
from gateway.config.identity_key import IdentityKey

# The gateway itself says these; no claim of the caller's token takes their place.
RESERVED = frozenset({"iss", "aud", "iat", "exp"})
_RENEWED_AFTER = 2 / 3


@dataclass(frozen=True, slots=True, eq=False)
class IdentityTokenRules:
    """Says what a route's identity tokens hold. `claims` maps a claim's name to paths; the first present one counts."""

    header: str
    key: IdentityKey
    issuer: str
    audience: str | tuple[str, ...]
    ttl_s: float
    claims: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]


@dataclass(frozen=True, slots=True)
class SignedIdentity:
    """Holds a token in its compact form. From `renew_at` on, another one is made."""

    text: str
    renew_at: float


def signed_identity(rules: IdentityTokenRules, facts: Facts, now: float) -> SignedIdentity:
    """A token for the caller with these facts. Claims keep their types (RFC 7519 §4)."""
    exp = math.ceil(now + rules.ttl_s)  # whole seconds (RFC 7519 §2), and none less than promised
    if is_cut := facts.exp is not None and facts.exp < exp:
        exp = math.floor(facts.exp)
    claims = {name: value for name, paths in rules.claims if (value := _first(facts, paths)) is not None}
    audience = rules.audience if isinstance(rules.audience, str) else list(rules.audience)
    payload = {**claims, "iss": rules.issuer, "aud": audience, "iat": math.floor(now), "exp": exp}
    assert rules.key.private is not None  # the configuration was checked
    text = jwt.encode(payload, rules.key.private, rules.key.algorithm, {"kid": rules.key.kid})
    # One that ends with the caller's token cannot be made to last longer.
    return SignedIdentity(text, math.inf if is_cut else now + (exp - now) * _RENEWED_AFTER)


def _first(facts: Facts, paths: tuple[tuple[str, ...], ...]) -> Any | None:
    return next((value for path in paths if (value := claim_at(facts.claims, path)) is not None), None)
