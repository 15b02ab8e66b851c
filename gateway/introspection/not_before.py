"""Since when a realm's tokens count: what was issued earlier is not active, whoever says so.

A provider that says it takes everything back that it issued before some moment (Keycloak's not-before policy). What is
remembered is forgotten like after any eviction; this is for what is first seen afterwards. A moment is only ever moved
forward: two orders that arrive in the wrong order must not bring a revoked token back. There are as many of them as
there are realms in the configuration.
"""

from __future__ import annotations

from gateway.authn.facts import Facts, Inactive
from gateway.introspection.ports import Memorable


class NotBefore:
    """Times are seconds since the epoch, on the wall clock of the provider, who also writes `iat`."""

    def __init__(self) -> None:
        self._at: dict[str, float] = {}  # by realm

    def of(self, realm: str) -> float:
        """0 where nothing was said."""
        return self._at.get(realm, 0.0)

    def advance(self, realm: str, at: float) -> None:
        """Nothing of `realm` from before `at` counts."""
        self._at[realm] = max(at, self.of(realm))

    def apply(self, realm: str, result: Memorable) -> Memorable:
        """`result`, or that the token is not active because it was issued too early.

        Where `iat` is missing the provider's own answer stands: it knows its policy. An `iat` that is no number is not
        understood, and so is no yes.
        """
        if not self._at or not isinstance(result, Facts) or (at := self._at.get(realm)) is None:
            return result
        issued_at = result.claims.get("iat")
        if issued_at is None:
            return result
        is_number = isinstance(issued_at, int | float) and not isinstance(issued_at, bool)
        return result if is_number and issued_at >= at else Inactive(result.introspected_at)
