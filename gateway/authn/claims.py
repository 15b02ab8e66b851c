"""Finding a claim in what a provider said."""

from __future__ import annotations

from typing import Any

from gateway.authn.facts import Claims


def claim_at(claims: Claims, path: tuple[str, ...]) -> Any | None:
    """The value at a dotted path, `None` where there is none.

    A top-level claim whose own name has dots in it (`https://example.com/tenant`) is found by that name first.
    """
    if len(path) > 1 and (whole := ".".join(path)) in claims:
        return claims[whole]
    value: Any = claims.get(path[0])
    for name in path[1:]:
        value = value.get(name) if isinstance(value, dict) else None
    return value
