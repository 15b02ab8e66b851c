"""What a provider said about a token: facts, or that it is not active, or nothing that can be relied on.

Reads introspection answers (RFC 7662 §2.2). Never turns an unclear answer into a yes or a no: what is malformed
is `Indeterminate`, which no cache keeps and no policy sees.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from gateway.authn.token_type import other_kind
from gateway.http.strict_json import NamePool

Claims = Mapping[str, Any]

# Most callers of a gateway have one of a few sets of scopes: each is in memory once.
# The names of claims are, too: one provider's answers have the same ones.
CLAIM_NAMES = NamePool()
scope_set = lru_cache(maxsize=256)(frozenset[str])

# 9999-12-31: what lies beyond is milliseconds taken for seconds, or an attack on arithmetic.
_TIME_MAX_S = 253_402_300_799


@dataclass(slots=True, eq=False)
class Memo:
    """What was last made of some facts, and by which rules: the next request need not make it again.

    For what follows from the claims and the configuration alone. A decision depends on more, and is never kept.
    """

    rules: Any = None
    made: Any = None
    is_plain: bool = False  # True: a Bearer token by its token_type, bound to nothing, as most are


@dataclass(frozen=True, slots=True)
class Facts:
    """An active token. Times are seconds since the epoch on the wall clock."""

    claims: Claims = field(repr=False)
    introspected_at: float
    exp: float | None = None
    nbf: float | None = None
    scopes: frozenset[str] = frozenset()
    memo: Memo = field(default_factory=Memo, init=False, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Inactive:
    """`active: false`, or a token that this gateway must not take for an access token.

    `reason` is for the operator, where there is one to tell; it quotes nothing of the token.
    """

    introspected_at: float
    reason: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Indeterminate:
    """No answer that can be relied on. `reason` is for the operator; it quotes nothing of the token or answer."""

    reason: str
    retry_after_s: float | None = None
    was_asked: bool = True  # False: the provider was left alone, not found yet, or too many were waiting for it
    is_crowded: bool = False  # the gateway's own queue was too long, which says nothing of the provider
    is_puzzling: bool = False  # the provider answers about others: it is this token's doing, or its sender's


@dataclass(frozen=True, slots=True)
class TooMany:
    """Nobody was asked, because of the caller: too many unknown tokens came from its address."""

    retry_after_s: float


IntrospectionResult = Facts | Inactive | Indeterminate


def read_introspection_result(document: object, now: float, header_type: str | None = None) -> IntrospectionResult:
    """The meaning of an introspection answer's JSON value, asked for at `now`; `header_type` is the token's own `typ`.

    RFC 7662 §2.2 fixes the types: `active` a boolean, `scope` a string, `exp` and `nbf` numbers. Another type is
    `Indeterminate`. Wrong types of `aud`, `iss` and roles are left to the policy, which refuses them.
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
    if kind := other_kind(document, header_type):
        return Inactive(now, kind)
    scopes = scope_set(tuple(filter(None, scope.split(" "))))
    return Facts(document, now, document.get("exp"), document.get("nbf"), scopes)


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _TIME_MAX_S
