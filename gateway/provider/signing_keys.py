"""The public keys that a provider signs with (RFC 7517): fetched, checked, soon forgotten.

Only keys of asymmetric signature algorithms count (RFC 8725 §3.1-3.3). One key serves only the algorithms of its own
type (RFC 8725 §3.10). An old set is not used when it cannot be fetched again: the provider may have removed a key
because it was stolen. An unknown `kid` makes the gateway fetch the set again, but many unknown ones do not make many
calls. One task at a time fetches; all who need the set wait for it, and `close` cancels it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from gateway.http import strict_json
from gateway.provider.call import Calls
from gateway.provider.errors import ProviderError, UnreachableError, UnusableResponseError

ALGORITHMS: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_ALGORITHMS_BY_TYPE: dict[tuple[str, str | None], frozenset[str]] = {
    ("RSA", None): _RSA,
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("EC", "P-521"): frozenset({"ES512"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA"}),
    ("OKP", "Ed448"): frozenset({"EdDSA"}),
}
_PRIVATE = frozenset({"d", "p", "q", "k"})
_RSA_MIN_BITS = 2048  # RFC 7518 §3.3
_RSA_MAX_BITS = 16_384  # beyond, one verification takes milliseconds
_KEYS_MAX = 100
_TRIED_MAX = 8
_OK = 200
# For so many seconds a key that was removed from the set is still accepted.
_FRESH_S = 300.0
# The pause between two fetches for keys that the set does not have.
_QUIET_S = 5.0


@dataclass(frozen=True, slots=True)
class SigningKey:
    kid: str | None
    algorithms: frozenset[str]
    key: Any  # of the cryptography library

    def has_signed(self, token: str, algorithm: str) -> bool:
        """Whether this key has signed `token`, a compact JWS."""
        if algorithm not in self.algorithms:
            return False
        try:
            jwt.PyJWS().decode_complete(token, self.key, algorithms=[algorithm])
        except jwt.PyJWTError:
            return False
        return True


class SigningKeys:
    """Fetches and keeps the keys; `locate` gives their URL. One fetch at a time, shared by all who wait for it."""

    def __init__(
        self, calls: Calls, locate: Callable[[], Awaitable[str]], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._calls = calls
        self._locate = locate
        self._monotonic = monotonic
        self._keys: tuple[SigningKey, ...] = ()
        self._fetched_at_s: float | None = None  # when the fetch of these keys began
        self._tried_at_s: float | None = None
        self._tried_for_s: dict[str, float] = {}  # by algorithm that had no key; `candidates` bounds them
        self._failure: ProviderError | None = None
        self._fetching: asyncio.Task[None] | None = None

    async def candidates(self, algorithm: str, kid: str | None) -> tuple[SigningKey, ...]:
        """The keys that may have signed a token with `algorithm` and `kid`. None: the provider has no such key.

        Raises `ProviderError` when the keys cannot be had now.
        """
        if algorithm not in ALGORITHMS:
            return ()
        asked_at_s = self._monotonic()
        if self._fetched_at_s is None or asked_at_s - self._fetched_at_s > _FRESH_S:
            await self._fetch()
        found = self._matching(algorithm, kid)
        is_new_algorithm = not any(algorithm in key.algorithms for key in self._keys)
        was_fetched_before = self._fetched_at_s is not None and self._fetched_at_s < asked_at_s
        if not found and was_fetched_before and not self._is_of_another_algorithm(algorithm, kid):
            # The key may be newer than the set.
            await self._fetch(algorithm if is_new_algorithm else None)
            found = self._matching(algorithm, kid)
        return found

    def _is_of_another_algorithm(self, algorithm: str, kid: str | None) -> bool:
        """Whether the key `kid` can never serve `algorithm`. An RSA key may change from RS256 to PS256."""
        kind = _RSA if algorithm in _RSA else {algorithm}
        return kid is not None and any(key.kid == kid and key.algorithms.isdisjoint(kind) for key in self._keys)

    async def has_signed(self, token: str, algorithm: str, kid: str | None) -> bool | None:
        """Whether one of the keys has signed `token`, a compact JWS. `None`: there is no key for it.

        Raises `ProviderError` when the keys cannot be had now.
        """
        asked_at_s = self._monotonic()
        candidates = await self.candidates(algorithm, kid)
        if any(key.has_signed(token, algorithm) for key in candidates):
            return True
        may_be_unnamed = kid is None or any(key.kid is None for key in candidates)
        is_old = self._fetched_at_s is not None and self._fetched_at_s < asked_at_s - _QUIET_S
        if candidates and may_be_unnamed and is_old:
            # Without names, a signature by a newer key looks like a forged one.
            await self._fetch()
            candidates = self._matching(algorithm, kid)
            if any(key.has_signed(token, algorithm) for key in candidates):
                return True
        return False if candidates else None

    async def close(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    def _matching(self, algorithm: str, kid: str | None) -> tuple[SigningKey, ...]:
        fitting = (key for key in self._keys if algorithm in key.algorithms)
        # A named key is the only one of its name. Where names are missing few are tried, because each try costs.
        return tuple(key for key in fitting if kid is None or key.kid is None or key.kid == kid)[:_TRIED_MAX]

    async def _fetch(self, new_algorithm: str | None = None) -> None:
        """Fetch the set again. Raises `ProviderError` when that fails, or was tried a moment ago.

        Each algorithm without a key has a pause of its own: when a provider begins to use another algorithm, somebody's
        junk must not cost it the first token. There are few algorithms.
        """
        if self._fetching is None:
            now_s = self._monotonic()
            tried_at_s = self._tried_at_s if new_algorithm is None else self._tried_for_s.get(new_algorithm)
            quiet_s = 0.0 if tried_at_s is None else tried_at_s + _QUIET_S - now_s
            if quiet_s > 0:
                reason = "its keys were fetched a moment ago" if self._failure is None else self._failure.reason
                raise ProviderError(reason, quiet_s)
            self._tried_at_s = now_s
            if new_algorithm is not None:
                self._tried_for_s[new_algorithm] = now_s
            self._fetching = asyncio.get_running_loop().create_task(self._fetch_once(now_s))
        fetching = self._fetching
        # A caller that leaves does not end the fetch for the others, and `close` does not cancel the callers.
        await asyncio.wait({fetching})
        if fetching.cancelled():
            raise UnreachableError("its client in the gateway is closed")
        if self._failure is not None:
            raise self._failure

    async def _fetch_once(self, now_s: float) -> None:
        self._failure = UnusableResponseError("its keys could not be read")  # for an exception of any other type
        try:
            response = await self._calls.get(await self._locate())
            if response.status != _OK:
                raise UnusableResponseError(
                    f"its keys were answered with status {response.status}", response.retry_after_s
                )
            self._keys = read_keys(_document(response.body))
            self._fetched_at_s, self._failure = now_s, None
        except ProviderError as error:
            self._failure = error
        finally:
            self._fetching = None


def _document(body: bytes) -> object:
    try:
        return strict_json.loads(body)
    except strict_json.JSONError as error:
        raise UnusableResponseError(f"its keys are not JSON that can be relied on: {error}") from None


def read_keys(document: object) -> tuple[SigningKey, ...]:
    """The usable keys of a JWK Set's JSON value. Ignores the others (RFC 7517 §5). Raises `ProviderError`."""
    match document:
        case {"keys": [*keys]}:
            return tuple(_usable_keys(keys[:_KEYS_MAX]))
    raise UnusableResponseError("its keys are not a JWK Set")


def _usable_keys(keys: Iterable[object]) -> Iterable[SigningKey]:
    for key in keys:
        if isinstance(key, Mapping) and (usable := _usable_key(key)) is not None:
            yield usable


def _usable_key(jwk: Mapping[str, Any]) -> SigningKey | None:
    kty, crv, kid, operations = jwk.get("kty"), jwk.get("crv"), jwk.get("kid"), jwk.get("key_ops")
    is_for_signatures = jwk.get("use", "sig") == "sig" and (operations is None or _allows_verifying(operations))
    if not is_for_signatures or _PRIVATE & jwk.keys() or not isinstance(kid, str | None):
        return None
    if not isinstance(kty, str) or not isinstance(crv, str | None):
        return None
    algorithms = _ALGORITHMS_BY_TYPE.get((kty, crv), frozenset())
    if "alg" in jwk:
        algorithms = frozenset(one for one in algorithms if one == jwk["alg"])
    if not algorithms:
        return None
    try:
        key = jwt.PyJWK(dict(jwk), algorithm=min(algorithms)).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    if isinstance(key, RSAPublicKey) and not _RSA_MIN_BITS <= key.key_size <= _RSA_MAX_BITS:
        return None
    return SigningKey(kid, algorithms, key)


def _allows_verifying(operations: object) -> bool:
    return isinstance(operations, list) and "verify" in operations
