"""Introspection results (RFC 7662 §2.2): facts of an active token, "not active", or nothing that can be relied on.

An unclear response never becomes a yes or a no. A malformed one is `Indeterminate`, which no cache keeps and no policy
sees.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from gateway.authn.token_type import not_access_token
from gateway.http.strict_json import NamePool

Claims = Mapping[str, Any]

# Most callers of a gateway have one of a few sets of scopes, so each set is in memory once. So is each claim's name:
# all results of one provider have the same names.
CLAIM_NAMES = NamePool()
scope_set = lru_cache(maxsize=256)(frozenset[str])

# 9999-12-31. A larger number is milliseconds taken for seconds, or an attack on arithmetic.
_TIME_MAX_S = 253_402_300_799


class Memo:
    """Keeps what the last request made of some facts, and by which rules, so that the next one need not make it again.

    Only for values that follow from the claims and the configuration. A decision depends on more and is never kept.
    """

    __slots__ = ("is_typed", "is_unbound", "made", "rules", "signed")

    def __init__(self) -> None:
        self.rules: Any = None
        self.made: Any = None
        self.signed: dict[Any, Any] | None = None  # identity tokens, by their rules
        self.is_unbound = False  # True: it was found that nothing has to be proven, as with most tokens
        self.is_typed = False  # True: it was found, and the provider gave a token_type


@dataclass(slots=True, init=False)
class Facts:
    """Holds what the provider says of an active token. Times are seconds since the epoch on the wall clock.

    `phantom` is the JWT that says the same, where the provider gave one. Whoever has it may act as the caller: it is in
    no claim, so that no log, no header of the configuration's and no `explain` shows it.

    Nobody changes facts. They are not frozen, and have their own `__init__`, because a hit in Redis makes them anew:
    compiled, a frozen dataclass takes fourteen times as long to make.
    """

    claims: Claims = field(repr=False)
    introspected_at: float
    exp: float | None
    nbf: float | None
    scopes: frozenset[str]
    phantom: str | None = field(repr=False)
    memo: Memo = field(repr=False, compare=False)

    def __init__(
        self,
        claims: Claims,
        introspected_at: float,
        exp: float | None = None,
        nbf: float | None = None,
        scopes: frozenset[str] = frozenset(),
        phantom: str | None = None,
    ) -> None:
        self.claims = claims
        self.introspected_at = introspected_at
        self.exp = exp
        self.nbf = nbf
        self.scopes = scopes
        self.phantom = phantom
        self.memo = Memo()


@dataclass(frozen=True, slots=True)
class Inactive:
    """Says `active: false`, or that this gateway must not take the token for an access token.

    `reason`, if there is one, is for the operator; it quotes nothing of the token.
    """

    introspected_at: float
    reason: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Indeterminate:
    """Says that no result can be relied on. `reason` is for the operator; it quotes neither token nor response."""

    reason: str
    retry_after_s: float | None = None
    was_asked: bool = True  # False: the breaker is open, the endpoint is not known yet, or the queue is full
    is_queue_full: bool = False  # the gateway's own queue is full, which says nothing of the provider
    is_token_fault: bool = False  # the provider answers others: the token, or its sender, is the cause


@dataclass(frozen=True, slots=True)
class TooMany:
    """Says that the provider was not asked, because too many unknown tokens came from the caller's address."""

    retry_after_s: float


IntrospectionResult = Facts | Inactive | Indeterminate


def read_introspection_result(document: object, now: float, header_type: str | None = None) -> IntrospectionResult:
    """The result that a response's JSON value means, asked for at `now`. `header_type` is the token's own `typ`.

    RFC 7662 §2.2 fixes the types: `active` a boolean, `scope` a string, `exp` and `nbf` numbers. Another type is
    `Indeterminate`. The policy refuses wrong types of `aud`, `iss` and roles.
    """
    if not isinstance(document, Mapping):
        return Indeterminate("the introspection answer is not an object")
    active = document.get("active")
    if active is False:
        return Inactive(now)
    if active is not True:
        return Indeterminate("`active` is not a boolean")
    for name in ("exp", "nbf"):
        if name in document and not _is_time(document[name]):
            return Indeterminate(f"`{name}` is not a time in seconds")
    scope = document.get("scope", "")
    if not isinstance(scope, str):
        return Indeterminate("`scope` is not a string")
    if reason := not_access_token(document, header_type):
        return Inactive(now, reason)
    scopes = scope_set(tuple(filter(None, scope.split(" "))))
    return Facts(document, now, document.get("exp"), document.get("nbf"), scopes)


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _TIME_MAX_S
