"""Which kind of token an active answer is about, and what a caller must prove beside having it.

A provider may introspect refresh tokens, ID tokens and tokens that are bound to a key, and call each of them active
(RFC 7662 §2.2). Only an access token that is good in anybody's hand may pass by itself. So what an answer says beyond
that is a yes only where it is understood:

    positive marks of another kind   `other_kind`: never an access token, whatever a route says
    no `token_type`                  `TokenTypeRule`: some providers mark by it that a token is an access token
    `cnf`, another `token_type`      `unproven`: good only with a proof (RFC 9449 §7, RFC 8705 §3)
    `crit`                           `not_understood`: the provider says that this must not be passed over
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

# Keycloak's `typ` and the `token_use` of others: tokens that are not for resource servers.
_OTHER_KINDS = frozenset({"refresh", "refresh_token", "offline", "id", "id_token", "logout", "serialized-id"})
# A JWT's own `typ`, where it is the one of another kind (RFC 8725 §3.11). Those of access tokens are JWT and at+jwt.
_OTHER_HEADER_TYPES = _OTHER_KINDS | {
    "client-authentication+jwt",
    "dpop+jwt",
    "id+jwt",
    "id_token+jwt",
    "kb+jwt",
    "logout+jwt",
    "oauth-authz-req+jwt",
    "refresh+jwt",
    "refresh_token+jwt",
    "rt+jwt",
    "secevent+jwt",
    "token-introspection+jwt",
}
# OpenID Connect Core §2, §3.3.2.11; FAPI for `s_hash`. With a token_type they say nothing: an access token of
# Keycloak has `nonce` where the client's mapper puts it there.
_ID_TOKEN_MARKS = ("nonce", "at_hash", "c_hash", "s_hash")
_ACCESS_TOKEN_TYPES = frozenset({"bearer", "dpop"})

Claims = Mapping[str, Any]


def other_kind(claims: Claims, header_type: str | None) -> str | None:
    """By which mark the token is no access token, in words; `None` where it has none. `header_type` is a JWT's own."""
    for name in ("typ", "token_use", "token_type"):
        kind = claims.get(name)
        if isinstance(kind, str) and kind.lower() in _OTHER_KINDS:
            return f"it is no access token: its {name} is {kind.lower()}"
    if header_type in _OTHER_HEADER_TYPES:
        return f"it is no access token: the typ in its header is {header_type}"
    if is_untyped(claims):
        for name in _ID_TOKEN_MARKS:
            if claims.get(name) is not None:
                return f"it is no access token: it has {name}, as ID tokens have, and no token_type"
    return None


def is_untyped(claims: Claims) -> bool:
    return claims.get("token_type") is None


def unproven(claims: Claims) -> str | None:
    """What the caller would have to prove, in words; `None` for a token that is good in anybody's hand."""
    cnf, token_type = claims.get("cnf"), claims.get("token_type")
    if cnf is not None:
        members = ", ".join(sorted(cnf)) if isinstance(cnf, dict) else ""
        return f"the token is bound by cnf ({_printable(members)}), and its proof is not verified here"
    if token_type is not None and not (isinstance(token_type, str) and token_type.lower() == "bearer"):
        shown = _printable(token_type) if isinstance(token_type, str) else "no text"
        return f"the token's token_type is {shown}, and only Bearer is good without a proof"
    return None


def not_understood(claims: Claims) -> str | None:
    """The word of the provider that the answer has something in it which must be understood (as RFC 7515 §4.1.11)."""
    if claims.get("crit") is None:
        return None
    return "the provider's answer has crit: it must not be used by who does not understand all of it"


class TokenTypeRule:
    """Says whether an active answer of one provider without `token_type` is about an access token.

    `auto` learns: a provider that gives one access token a `token_type` gives it to all of them. From then on
    `required` is true, for good. `identity` is the provider's, and names the rule to other processes.
    """

    __slots__ = ("_learns", "identity", "required")

    def __init__(self, mode: Literal["auto"] | bool = "auto", identity: bytes = b"") -> None:
        self.identity = identity
        self.required = mode is True
        self._learns = mode == "auto"

    def learns_from(self, claims: Claims) -> bool:
        """Whether these claims of an active token have changed the rule."""
        token_type = claims.get("token_type")
        is_typed = isinstance(token_type, str) and token_type.lower() in _ACCESS_TOKEN_TYPES
        return is_typed and self.learn()

    def learn(self) -> bool:
        """Require the `token_type` from here on, as somebody has learned; whether that is new here."""
        if self.required or not self._learns:
            return False
        self.required = True
        return True

    @property
    def learned(self) -> bool:
        """Whether an answer has shown it, here or elsewhere."""
        return self._learns and self.required

    @property
    def learning(self) -> bool:
        """Whether another answer may change it."""
        return self._learns and not self.required


def _printable(text: str) -> str:
    return "".join(character for character in text[:100] if character.isprintable())
