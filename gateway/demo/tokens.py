"""The demo provider's tokens: JWTs with Keycloak's claims, signed with a key made at start (RFC 7519, RFC 7517).

Without I/O. It recognises its tokens by their signature, and remembers which sessions and tokens have ended.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from copy import copy
from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from gateway.demo.realm import Client, User, stable_id

ACCESS_LIFE_S = 300
REFRESH_LIFE_S = 1800
_AUDIENCE = ("orders-api", "account")
_ENDED_MAX = 10_000  # a demo forgets its oldest logouts rather than grow


def new_key() -> RSAPrivateKey:
    """A signing key. Takes tens of milliseconds: call it off the event loop."""
    return generate_private_key(public_exponent=65537, key_size=2048)


class Tokens:
    """Issues, reads and ends the tokens of one issuer. `clock` gives seconds since the epoch."""

    def __init__(self, issuer: str, key: RSAPrivateKey, clock: Callable[[], float] = time.time) -> None:
        self._issuer = issuer
        self._key = key
        self._clock = clock
        self._key_id = stable_id("key")
        self._ended: OrderedDict[str, None] = OrderedDict()  # `sid` of sessions and `jti` of tokens
        self._jkt: str | None = None

    def bound_to(self, jkt: str) -> Tokens:
        """The same, but it binds the access tokens that it issues to the key of this thumbprint (RFC 9449 §6)."""
        bound = copy(self)
        bound._jkt = jkt  # noqa: SLF001 - its own
        return bound

    def issue(
        self,
        client: Client,
        user: User,
        scopes: Iterable[str],
        *,
        session: str | None = None,
        audience: tuple[str, ...] = _AUDIENCE,
        refreshable: bool = True,
    ) -> dict[str, Any]:
        """A token response (RFC 6749 §5.1). `session` continues that session; by default a new one begins."""
        session = session or str(uuid4())
        scope = " ".join(sorted(scopes))
        access = self._sign(
            {
                "exp": self._now() + ACCESS_LIFE_S,
                "aud": list(audience),
                "typ": self._type,
                "acr": "1",
                **({} if self._jkt is None else {"cnf": {"jkt": self._jkt}}),
                **_person(client, user),
                "sid": session,
                "scope": scope,
            },
            client,
            user,
        )
        response = {
            "access_token": access,
            "expires_in": ACCESS_LIFE_S,
            "token_type": self._type,
            "not-before-policy": 0,
            "scope": scope,
        }
        if refreshable:
            refresh = {"exp": self._now() + REFRESH_LIFE_S, "aud": self._issuer, "typ": "Refresh"}
            response["refresh_token"] = self._sign({**refresh, "sid": session, "scope": scope}, client, user)
            response["refresh_expires_in"] = REFRESH_LIFE_S
            response["session_state"] = session
        return response

    @property
    def _type(self) -> str:
        return "Bearer" if self._jkt is None else "DPoP"

    def claims(self, token: str) -> dict[str, Any] | None:
        """The claims of a token that is good now; None for any other text."""
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key.public_key(),
                algorithms=["RS256"],
                issuer=self._issuer,
                options={"verify_aud": False, "verify_exp": False, "verify_iat": False, "require": ["exp", "jti"]},
            )
        except jwt.InvalidTokenError:
            return None
        ended = claims["jti"] in self._ended or claims.get("sid") in self._ended
        return None if ended or claims["exp"] <= self._clock() else claims

    def introspect(self, token: str) -> dict[str, Any]:
        """The introspection response (RFC 7662 §2.2), with the members that Keycloak adds."""
        claims = self.claims(token)
        if claims is None:
            return {"active": False}
        username = claims.get("preferred_username")
        return {
            **claims,
            "client_id": claims["azp"],
            **({"username": username} if username else {}),
            "token_type": claims["typ"],
            "active": True,
        }

    def revoke(self, token: str) -> None:
        """End an access token, or the whole session of a refresh token (RFC 7009 §2.1)."""
        claims = self.claims(token)
        if claims is None:
            return
        self._ended[claims["sid"] if claims["typ"] == "Refresh" else claims["jti"]] = None
        while len(self._ended) > _ENDED_MAX:
            self._ended.popitem(last=False)

    def jwks(self) -> dict[str, Any]:
        """The public key (RFC 7517 §5)."""
        key = jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {"keys": [{**key, "kid": self._key_id, "use": "sig", "alg": "RS256"}]}

    def _sign(self, claims: dict[str, Any], client: Client, user: User) -> str:
        common = {
            "iat": self._now(),
            "jti": str(uuid4()),
            "iss": self._issuer,
            "sub": user.id,
            "azp": client.client_id,
        }
        return jwt.encode({**common, **claims}, self._key, algorithm="RS256", headers={"kid": self._key_id})

    def _now(self) -> int:
        return int(self._clock())


def _person(client: Client, user: User) -> dict[str, Any]:
    claims: dict[str, Any] = {
        "client_id": client.client_id,
        "preferred_username": user.username,
        "realm_access": {"roles": list(user.roles)},
        "resource_access": {name: {"roles": list(roles)} for name, roles in user.client_roles},
    }
    if user.name:
        claims |= {"name": user.name, "email": f"{user.username}@example.com", "email_verified": True}
    if user.tenant:
        claims["tenant"] = user.tenant
    return claims
