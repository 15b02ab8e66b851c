"""The gateway's own access token, by which it may introspect (RFC 7662 §2.1, RFC 6750 §2.1).

    get -> none, or past its end? -> wait for the one fetch under way -> token
        -> in the last fifth of its life? -> token, and a fetch begins in the background

- There is one token for all questions of this process, and at most one fetch at a time. The fetch is a task of its own,
  so a caller that leaves does not end it for the others; `close` cancels it.
- A fetch that fails leaves the old token in use until its end, and is not repeated at once.
- An endpoint that refuses the token makes it fetched anew, once: not again while the new one is young, or an endpoint
  that refuses every token would cost a fetch for each question.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.http.syntax import B64TOKEN
from gateway.provider.errors import FailingError, ProviderError, TokenRefused, UnreachableError, UnusableResponseError

_B64TOKEN = re.compile(B64TOKEN)
# A provider that does not say for how long its token is good (RFC 6749 §5.1) is asked again after this.
_UNSAID_LIFE_S = 60.0
_LIFE_MAX_S = 86_400.0
_RENEWED_AT = 0.8  # of its life
_AFTER_FAILURE_S = 1.0
_YOUNG_S = 10.0


@dataclass(frozen=True, slots=True)
class _FetchedToken:
    value: str = field(repr=False)
    fetched_at_s: float  # monotonic, as all times here; taken before the fetch began
    life_s: float
    is_replacement: bool = False  # of a token that the endpoint had refused

    def is_over(self, now_s: float) -> bool:
        return now_s >= self.fetched_at_s + self.life_s

    def is_due(self, now_s: float) -> bool:
        return now_s >= self.fetched_at_s + self.life_s * _RENEWED_AT


class OwnToken:
    """Keeps one token, which `fetch` requests: it returns the token endpoint's JSON object."""

    def __init__(
        self, fetch: Callable[[], Awaitable[Mapping[str, Any]]], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch = fetch
        self._monotonic = monotonic
        self._held: _FetchedToken | None = None
        self._failure: ProviderError | None = None
        self._failed_at_s = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def get(self) -> str:
        """A token that has not ended. Raises `ProviderError`."""
        now_s = self._monotonic()
        held = self._held
        if held is None or held.is_over(now_s):
            return await self._fetched()
        if held.is_due(now_s) and not self._just_failed(now_s):
            self._begin()
        return held.value

    async def after_refusal(self, refused: str) -> str | None:
        """Another token than `refused`, which the endpoint does not take; `None` if there is none to try.

        Raises `ProviderError`.
        """
        held = self._held
        if held is None:
            return await self._fetched()
        if held.value != refused:
            return held.value  # another question had it renewed meanwhile
        if held.is_replacement and self._monotonic() - held.fetched_at_s < _YOUNG_S:
            return None
        return await self._fetched(is_replacement=True)

    async def close(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    async def _fetched(self, *, is_replacement: bool = False) -> str:
        if self._fetching is None and self._failure is not None and self._just_failed(self._monotonic()):
            raise self._failure
        fetching = self._begin(is_replacement=is_replacement)
        # A caller that leaves does not end the fetch for the others, and `close` does not cancel the callers.
        await asyncio.wait({fetching})
        if fetching.cancelled():
            raise UnreachableError("its client in the gateway is closed")
        if self._failure is not None:
            raise self._failure
        assert self._held is not None  # or there would be a failure
        return self._held.value

    def _just_failed(self, now_s: float) -> bool:
        return now_s - self._failed_at_s < _AFTER_FAILURE_S

    def _begin(self, *, is_replacement: bool = False) -> asyncio.Task[None]:
        if self._fetching is None:
            self._fetching = asyncio.get_running_loop().create_task(self._fetch_once(is_replacement))
        return self._fetching

    async def _fetch_once(self, is_replacement: bool) -> None:
        self._failure = UnusableResponseError("its token for the gateway could not be read")  # for any other exception
        began_at_s = self._monotonic()
        try:
            self._held = _read(await self._fetch(), began_at_s, is_replacement)
            self._failure = None
        except TokenRefused as refused:
            words = f"its token endpoint refuses the gateway's own client ({refused.error}); check client_auth"
            self._failure = FailingError(words)
        except ProviderError as error:
            self._failure = error
        finally:
            if self._failure is not None:
                self._failed_at_s = self._monotonic()
            self._fetching = None


def _read(document: Mapping[str, Any], began_at_s: float, is_replacement: bool) -> _FetchedToken:
    """The token in the token endpoint's response (RFC 6749 §5.1). Raises `ProviderError`."""
    value, token_type, life_s = (document.get(name) for name in ("access_token", "token_type", "expires_in"))
    if not isinstance(value, str) or not _B64TOKEN.fullmatch(value):
        raise UnusableResponseError("its token for the gateway is not one that a header can carry")
    if not isinstance(token_type, str) or token_type.lower() != "bearer":
        raise UnusableResponseError("its token for the gateway is not a Bearer token")
    if isinstance(life_s, bool) or not isinstance(life_s, int | float) or not life_s > 0:
        life_s = _UNSAID_LIFE_S
    return _FetchedToken(value, began_at_s, float(min(life_s, _LIFE_MAX_S)), is_replacement)
