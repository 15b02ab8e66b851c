"""Validates access tokens that are JWTs by the provider's keys, in this process (RFC 9068 §4, RFC 8725).

    token -> not a JWT? -> header -> key -> signature -> claims -> facts
             None           no: inactive; keys away: indeterminate

One verification takes 30 to 120 µs for the algorithms of the default, so it runs in the loop. (A thread would not help:
the cryptography library holds the interpreter's lock meanwhile.) Where several keys have to be tried, others have their
turn between two tries. No provider is asked about a token; only its keys are fetched, and that is bounded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass

from gateway.authn.bearer import Token
from gateway.authn.bearer_jwt import BearerJwt, JwtFault, access_claims, facts_of_jwt, read_bearer_jwt
from gateway.authn.claim_places import ClaimPlaces
from gateway.authn.facts import Facts, Inactive, Indeterminate, IntrospectionResult
from gateway.provider.errors import ProviderError
from gateway.provider.jwk_set import SigningKey
from gateway.provider.signing_keys import SigningKeys

_OPAQUE = "it is not a JWT, and validation: jwt asks nobody about an opaque token"


@dataclass(frozen=True, slots=True)
class JwtValidator:
    """Judges tokens of `issuer`. Satisfies `introspection.ports.TokenValidator`.

    With `decides_alone` the provider is never asked; else it is asked about what is good here, and about opaque tokens.
    `clock` gives seconds since the epoch.
    """

    issuer: str
    algorithms: Collection[str]
    leeway_s: float | None
    keys: SigningKeys
    clock: Callable[[], float]
    decides_alone: bool
    places: ClaimPlaces

    async def judge(self, token: Token) -> IntrospectionResult | None:
        """What can be said of the token without the provider. Raises nothing but `CancelledError`."""
        jwt = read_bearer_jwt(token.value, self.algorithms)
        if jwt is None:
            return Inactive(self.clock(), _OPAQUE) if self.decides_alone else None
        if isinstance(jwt, JwtFault):
            return Inactive(self.clock(), jwt.reason)
        result = await self._validated(jwt)
        return None if isinstance(result, Facts) and not self.decides_alone else result

    async def may_have_issued(self, token: Token) -> bool:
        """Whether a key of the provider has signed the token, or may have: the keys are away."""
        jwt = read_bearer_jwt(token.value, self.algorithms)
        if not isinstance(jwt, BearerJwt):
            return False
        try:
            return await self._signature_fault(jwt) is None
        except ProviderError:
            return True

    def forget_keys(self) -> None:
        self.keys.forget()

    async def _validated(self, jwt: BearerJwt) -> IntrospectionResult:
        try:
            fault = await self._signature_fault(jwt)
        except ProviderError as error:
            return Indeterminate(f"its keys cannot be had: {error.reason}", error.retry_after_s, was_asked=False)
        now = self.clock()
        claims = fault or access_claims(jwt, self.issuer, now, self.leeway_s)
        if isinstance(claims, JwtFault):
            return Inactive(now, claims.reason)
        return facts_of_jwt(self.places.placed(claims), now)

    async def _signature_fault(self, jwt: BearerJwt) -> JwtFault | None:
        """Why no key of the provider has signed the token. Raises `ProviderError` when the keys cannot be had."""
        keys = await self.keys.of_token(jwt.algorithm, jwt.kid)
        if await _has_signed(jwt, keys):
            return None
        may_be_newer = bool(keys) and (jwt.kid is None or any(key.kid is None for key in keys))
        # Without names, a signature by a newer key looks like a forged one.
        if may_be_newer and await _has_signed(jwt, await self.keys.of_unnamed(jwt.algorithm)):
            return None
        if keys:
            return JwtFault("its signature is not one of the provider's")
        return JwtFault(f"none of the provider's keys has its kid and serves {jwt.algorithm}")


async def _has_signed(jwt: BearerJwt, keys: Collection[SigningKey]) -> bool:
    for number, key in enumerate(keys):
        if number:
            await asyncio.sleep(0)
        if key.verifies(jwt.signing_input, jwt.signature, jwt.algorithm):
            return True
    return False
