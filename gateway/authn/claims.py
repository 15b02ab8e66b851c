"""Finds a claim in an introspection result."""

from __future__ import annotations

from typing import Any

from gateway.authn.facts import Claims


def claim_at(claims: Claims, path: tuple[str, ...]) -> Any | None:
    """The value at a dotted path, or `None`.

    A top-level claim with dots in its name (`https://example.com/tenant`) counts only where the nested claim is absent.
    Otherwise somebody who may choose the name of a claim could hide `realm_access.roles` behind it.
    """
    value: Any = claims.get(path[0])
    is_there = path[0] in claims
    for name in path[1:]:
        is_there = is_there and isinstance(value, dict) and name in value
        if not is_there:
            return claims.get(".".join(path))
        value = value[name]
    return value
