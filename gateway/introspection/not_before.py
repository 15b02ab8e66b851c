"""Not-before times of realms: tokens that a realm issued earlier are inactive, whatever the provider says.

A provider may say that it revokes everything that it issued before some moment (Keycloak's not-before policy). The
gateway then forgets its results as after any invalidation; this module is for tokens that it first sees later. A time
only ever moves forward: two orders that arrive in the wrong order must not bring a revoked token back. There is one
time for each realm of the configuration.
"""

from __future__ import annotations

from gateway.authn.facts import Facts, Inactive
from gateway.introspection.ports import Memorable

_WHY = "it was issued before the not-before time that its provider has sent"


class NotBefore:
    """Keeps the times, in seconds since the epoch. They and `iat` are of the provider's wall clock."""

    def __init__(self) -> None:
        self._at: dict[str, float] = {}  # by realm

    def of(self, realm: str) -> float:
        """The time of `realm`; 0 without one."""
        return self._at.get(realm, 0.0)

    def advance(self, realm: str, at: float) -> None:
        """From now on tokens of `realm` from before `at` are inactive."""
        self._at[realm] = max(at, self.of(realm))

    def apply(self, realm: str, result: Memorable, *, is_strict: bool = False) -> Memorable:
        """`result`, or an inactive one if the token was issued too early.

        Where `iat` is missing the provider's own result stands: it knows its policy. An `iat` that is not a number is
        not understood, and so it is not a yes. With `is_strict` nobody has asked the provider, so a missing one is not
        a yes either.
        """
        if not self._at or not isinstance(result, Facts) or (at := self._at.get(realm)) is None:
            return result
        issued_at = result.claims.get("iat")
        if issued_at is None and not is_strict:
            return result
        if isinstance(issued_at, int | float) and not isinstance(issued_at, bool) and issued_at >= at:
            return result
        return Inactive(result.introspected_at, _WHY)
