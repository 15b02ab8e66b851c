"""Finds out the type of an active token, and whether its bearer has to prove something.

A provider may introspect refresh tokens, ID tokens and tokens that are bound to a key, and call each of them active
(RFC 7662 §2.2). Only an unbound access token may pass without a proof. So these members of a result are looked at:

    signs of another type         `not_access_token`: never an access token, whatever a route says
    no `token_type`               `TokenTypeRule`: some providers give a `token_type` to each access token
    `cnf`, another `token_type`   `gateway.authn.confirmation`: valid only with a proof (RFC 9449 §7, RFC 8705 §3)
    `crit`                        `unknown_condition`: the provider says that it must not be ignored
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

# Keycloak's `typ` and the `token_use` of others: tokens that are not for resource servers.
_OTHER_TYPES = frozenset({"refresh", "refresh_token", "offline", "id", "id_token", "logout", "serialized-id"})
# The `typ` of JWTs of other types (RFC 8725 §3.11). Access tokens have JWT or at+jwt.
_OTHER_HEADER_TYPES = _OTHER_TYPES | {
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
# OpenID Connect Core §2, §3.3.2.11; FAPI for `s_hash`. Beside a token_type they say nothing: a mapper can put `nonce`
# into an access token of Keycloak.
_ID_TOKEN_CLAIMS = ("nonce", "at_hash", "c_hash", "s_hash")
_ACCESS_TOKEN_TYPES = frozenset({"bearer", "dpop"})

Claims = Mapping[str, Any]


def not_access_token(claims: Claims, header_type: str | None, *, is_typed: bool = False) -> str | None:
    """Why the token is not an access token, in words; `None` if nothing says so. `header_type` is a JWT's own `typ`.

    With `is_typed` something else than `token_type` says that it is an access token.
    """
    for name in ("typ", "token_use", "token_type"):
        kind = claims.get(name)
        if isinstance(kind, str) and kind.lower() in _OTHER_TYPES:
            return f"it is not an access token: its {name} is {kind.lower()}"
    if header_type in _OTHER_HEADER_TYPES:
        return f"it is not an access token: the typ in its header is {header_type}"
    if is_untyped(claims) and not is_typed:
        for name in _ID_TOKEN_CLAIMS:
            if claims.get(name) is not None:
                return f"it is not an access token: it has {name}, as ID tokens have, and no token_type"
    return None


def is_untyped(claims: Claims) -> bool:
    return claims.get("token_type") is None


def unknown_condition(claims: Claims) -> str | None:
    """Says that the result has `crit`: members that must be understood (as RFC 7515 §4.1.11). `None` if it has not."""
    if claims.get("crit") is None:
        return None
    return "the provider's answer has crit: only a recipient that understands all of it may use it"


class TokenTypeRule:
    """Decides whether a result without `token_type` can be about an access token of one provider.

    `auto` learns: a provider that gives one access token a `token_type` gives it to all of them. From then on
    `required` stays true. `identity` is the provider's, and names the rule to other processes.
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
        """Require the `token_type` from now on. Returns whether that is new here."""
        if self.required or not self._learns:
            return False
        self.required = True
        return True

    @property
    def learned(self) -> bool:
        """Whether a result has shown that it is required, here or in another process."""
        return self._learns and self.required

    @property
    def can_learn(self) -> bool:
        """Whether another result may change the rule."""
        return self._learns and not self.required
