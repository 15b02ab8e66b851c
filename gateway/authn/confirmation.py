"""What a token is bound to, by the facts about it: `cnf` and `token_type` (RFC 7800, RFC 9449 §6, RFC 8705 §3.1). Pure.

A binding that is not understood is never passed over: it refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

JKT = "jkt"
X5T = "x5t#S256"
_UNDERSTOOD = frozenset({JKT, X5T})


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Holds the thumbprints of a key (RFC 7638) and of a certificate that the caller must have; both where both are.

    `problem` says, for the operator, why nobody can have what is wanted. `in_words` names the members, no values.
    """

    jkt: str | None = None
    x5t: str | None = None
    problem: str | None = None
    in_words: str = ""

    @property
    def is_bound(self) -> bool:
        return self.jkt is not None or self.x5t is not None or self.problem is not None


UNBOUND = Confirmation()


def confirmation_of(claims: Mapping[str, Any]) -> Confirmation:
    """What the caller has to prove. A token without `cnf` whose `token_type` is Bearer, or absent, is not bound."""
    cnf, token_type = claims.get("cnf"), claims.get("token_type")
    kind = token_type.lower() if isinstance(token_type, str) else token_type
    if kind not in (None, "bearer", "dpop"):
        shown = printable(token_type) if isinstance(token_type, str) else "not a text"
        return Confirmation(problem=f"the token's token_type is {shown}, and only Bearer and DPoP are understood")
    if cnf is None:
        if kind == "dpop":
            return Confirmation(problem="the token's token_type is DPoP, and there is no cnf.jkt to compare a key with")
        return UNBOUND
    names = ", ".join(sorted(cnf)) if isinstance(cnf, dict) else ""
    words = f"bound by cnf ({printable(names)})"
    if not isinstance(cnf, dict) or not cnf or not cnf.keys() <= _UNDERSTOOD:
        return Confirmation(problem=f"the token is {words}, which is not understood here")
    if not all(isinstance(value, str) and value for value in cnf.values()):
        return Confirmation(problem=f"the token is {words}, and a member is not a text")
    if kind == "dpop" and JKT not in cnf:
        return Confirmation(problem=f"the token's token_type is DPoP, and it is {words}, without jkt")
    return Confirmation(cnf.get(JKT), cnf.get(X5T), in_words=words)


def printable(text: str) -> str:
    return "".join(character for character in text[:100] if character.isprintable())
