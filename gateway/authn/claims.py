"""Finding a claim in what a provider said."""

from __future__ import annotations

from typing import Any

from gateway.authn.facts import Claims


def claim_at(claims: Claims, path: tuple[str, ...]) -> Any | None:
    """The value at a dotted path, `None` where there is none.

    A top-level claim whose own name has dots in it (`https://example.com/tenant`) is found only where the nested one
    is not there: who may choose the name of a claim must not be able to stand before `realm_access.roles`.
    """
    value: Any = claims.get(path[0])
    is_there = path[0] in claims
    for name in path[1:]:
        is_there = is_there and isinstance(value, dict) and name in value
        if not is_there:
            return claims.get(".".join(path))
        value = value[name]
    return value
