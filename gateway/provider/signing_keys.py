"""The public keys that a provider signs with (RFC 7517): fetched, checked, soon forgotten.

An old set is not used when it cannot be fetched again: the provider may have removed a key because it was stolen. So a
set in use is fetched again before it is old, in the background. An unknown `kid` makes the gateway fetch the set again,
but many unknown ones do not make many calls. One task at a time fetches; all who need the set wait for it, and `close`
cancels it. `trouble` is told what comes of each fetch.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.config.algorithms import SIGNATURE_ALGORITHMS
from gateway.http import strict_json
from gateway.provider.call import Calls
from gateway.provider.errors import ProviderError, UnreachableError, UnusableResponseError
from gateway.provider.jwk_set import SigningKey, read_keys
from gateway.provider.trouble import Trouble

__all__ = ["ALGORITHMS", "SigningKey", "SigningKeys", "read_keys"]

ALGORITHMS: Final = SIGNATURE_ALGORITHMS
_TRIED_MAX = 8
_OK = 200
# For so many seconds a key that was removed from the set is still accepted.
_FRESH_S = 300.0
# A set in use is fetched again at this age, so that no caller waits for it, and a provider that stumbles is not missed.
_RENEWED_S = 240.0
# The pause between two fetches for keys that the set does not have: of events, which come again, and of access tokens.
_QUIET_S = 5.0
_UNKNOWN_QUIET_S = 10.0
# The pause after a fetch that failed, while somebody needs the keys.
_FAILED_QUIET_S = 1.0


class SigningKeys:
    """Fetches and keeps the keys; `locate` gives their URL. One fetch at a time, shared by all who wait for it."""

    def __init__(
        self,
        calls: Calls,
        locate: Callable[[], Awaitable[str]],
        monotonic: Callable[[], float] = time.monotonic,
        trouble: Trouble | None = None,
    ) -> None:
        self._trouble = trouble
        self._calls = calls
        self._locate = locate
        self._monotonic = monotonic
        self._keys: tuple[SigningKey, ...] = ()
        self._fetched_at_s: float | None = None  # when the fetch of these keys began
        self._tried_at_s: float | None = None
        self._tried_for_s: dict[str, float] = {}  # by algorithm that had no key; `candidates` bounds them
        self._failure: ProviderError | None = None
        self._fetching: asyncio.Task[None] | None = None

    @property
    def are_away(self) -> bool:
        """Whether there is no set that may be used, since it could not be fetched."""
        is_fresh = self._fetched_at_s is not None and self._monotonic() - self._fetched_at_s <= _FRESH_S
        return self._failure is not None and not is_fresh

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

    async def all(self) -> tuple[SigningKey, ...]:
        """All keys. Raises `ProviderError` when they cannot be had now."""
        if self._fetched_at_s is None:
            await self._fetch()
        return self._keys

    async def of_token(self, algorithm: str, kid: str | None) -> tuple[SigningKey, ...]:
        """The keys that may have signed an access token. None: the provider has no such key, as far as is known.

        Anybody can make up tokens, so an unknown `kid` has the set fetched again only `_UNKNOWN_QUIET_S` after the last
        fetch. Raises `ProviderError` when the keys cannot be had now.
        """
        now_s = self._monotonic()
        if self._fetched_at_s is None or now_s - self._fetched_at_s > _FRESH_S:
            await self._fetch(quiet_s=_FAILED_QUIET_S)
        found = self._matching(algorithm, kid)
        if not found and not self._is_of_another_algorithm(algorithm, kid):
            return self._matching(algorithm, kid) if await self._looked_again() else ()
        if self._fetched_at_s is not None and now_s - self._fetched_at_s > _RENEWED_S:
            self._fetch_in_background()
        return found

    async def of_unnamed(self, algorithm: str) -> tuple[SigningKey, ...]:
        """The keys for a token without `kid` that none of the known ones has signed; none if nothing can be new."""
        return self._matching(algorithm, None) if await self._looked_again() else ()

    def forget(self) -> None:
        """Has the keys fetched again before they are used again."""
        self._keys, self._fetched_at_s, self._tried_at_s = (), None, None
        self._tried_for_s.clear()

    async def _looked_again(self) -> bool:
        """Look for a key that is not there; `False`: the set was fetched a moment ago, so that nothing can be new.

        Raises `ProviderError`, also while a fetch has just failed: nobody knows then which keys there are.
        """
        if self._may_look_again():
            await self._fetch(quiet_s=_FAILED_QUIET_S)
            return True
        if self._failure is not None:
            raise self._failure
        return False

    def _may_look_again(self) -> bool:
        """Whether the last fetch, or attempt at one, was long enough ago to look for a key that is not there."""
        if self._fetching is not None:
            return True  # wait for it
        last_s = max(self._fetched_at_s or -math.inf, self._tried_at_s or -math.inf)
        return self._monotonic() - last_s >= (_UNKNOWN_QUIET_S if self._failure is None else _FAILED_QUIET_S)

    def _fetch_in_background(self) -> None:
        if self._fetching is None and self._may_look_again():
            self._tried_at_s = now_s = self._monotonic()
            self._fetching = asyncio.get_running_loop().create_task(self._fetch_once(now_s))

    def _is_of_another_algorithm(self, algorithm: str, kid: str | None) -> bool:
        """Whether the key `kid` can never serve `algorithm`. An RSA key may change from RS256 to PS256."""
        return kid is not None and any(key.kid == kid and not key.can_ever_serve(algorithm) for key in self._keys)

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

    async def _fetch(self, new_algorithm: str | None = None, quiet_s: float = _QUIET_S) -> None:
        """Fetch the set again. Raises `ProviderError` when that fails, or was tried a moment ago.

        Each algorithm without a key has a pause of its own: when a provider begins to use another algorithm, somebody's
        junk must not cost it the first token. There are few algorithms.
        """
        if self._fetching is None:
            now_s = self._monotonic()
            tried_at_s = self._tried_at_s if new_algorithm is None else self._tried_for_s.get(new_algorithm)
            left_s = 0.0 if tried_at_s is None else tried_at_s + quiet_s - now_s
            if left_s > 0:
                reason = "its keys were fetched a moment ago" if self._failure is None else self._failure.reason
                raise ProviderError(reason, left_s)
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
            keys = read_keys(_document(response.body))
            if not keys:
                # Taken at its word, it would make every genuine token a forged one.
                raise UnusableResponseError("none of its keys can verify a signature")
            self._keys = keys
            self._fetched_at_s, self._failure = now_s, None
        except ProviderError as error:
            self._failure = error
        finally:
            self._fetching = None
        self._tell()

    def _tell(self) -> None:
        if self._trouble is None:
            return
        if self._failure is None:
            self._trouble.succeeded()
        else:
            self._trouble.failed(self._failure, self._monotonic())


def _document(body: bytes) -> object:
    try:
        return strict_json.loads(body)
    except strict_json.JSONError as error:
        raise UnusableResponseError(f"its keys are not JSON that can be relied on: {error}") from None
