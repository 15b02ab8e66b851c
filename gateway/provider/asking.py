"""How one provider's introspection endpoint is asked: so many at a time, so many waiting, and not while it fails.

A question waits for one of `max_concurrency` slots; beyond `max_waiting` it is turned away, so that a slow provider
does not collect every request of the gateway. Whoever comes while the breaker is open is turned away at once. A call
that failed in a way that may pass is tried once more, a little later, if its deadline still allows it: the pause is
random, so that a provider that stumbles is not hit by everybody again at the same instant.

Nonsense in answer to one token may be that token's doing. Asked about again and again it counts as one failure, so
that a caller who holds such a token does not shut out the others by repeating it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.provider.breaker import Breaker, LeaveAlone, Permit
from gateway.provider.errors import (
    ConnectionLostError,
    DeadlineError,
    FailingError,
    NotAskedError,
    OverloadedError,
    ProviderError,
    RejectedError,
    UnreachableError,
    UntrustedError,
    UnusableAnswerError,
)

_PAUSE_S = (0.05, 0.15)
_WAIT_S = 1.0  # what a caller is told who found too many before it
_PUZZLING_MAX = 1_000
_PASSING = (UnreachableError, ConnectionLostError, OverloadedError)

_T = TypeVar("_T")


class Asking:
    """For one provider in one process. Without a `breaker` each question is a call."""

    def __init__(
        self,
        *,
        max_concurrency: int,
        max_waiting: int,
        breaker: Breaker | None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._slots = asyncio.Semaphore(max_concurrency)
        self._max_waiting = max_waiting
        self._waiting = 0
        self._breaker = breaker
        self._monotonic = monotonic
        self._last_failure = ""
        self._puzzling: set[int] = set()  # hashes of tokens that were answered with nonsense since the last good answer

    @property
    def is_left_alone(self) -> bool:
        return self._blocked() is not None

    async def ask(self, call: Callable[[], Awaitable[_T]], deadline_s: float, about: str = "") -> _T:
        """What `call` returns, by `deadline_s` on the loop's clock; `about` is the token. Raises `ProviderError`.

        That is `NotAskedError` where no call was made.
        """
        if blocked := self._blocked():
            raise self._left_alone(blocked)
        await self._wait_for_slot(deadline_s)
        try:
            return await self._try_twice(call, deadline_s, hash(about))
        finally:
            self._slots.release()

    async def _wait_for_slot(self, deadline_s: float) -> None:
        if self._slots.locked() and self._waiting >= self._max_waiting:
            raise NotAskedError("too many questions wait for it already", _WAIT_S)
        self._waiting += 1
        try:
            async with asyncio.timeout_at(deadline_s):
                await self._slots.acquire()
        except TimeoutError:
            raise NotAskedError("no call to it came free in time", _WAIT_S) from None
        finally:
            self._waiting -= 1

    async def _try_twice(self, call: Callable[[], Awaitable[_T]], deadline_s: float, about: int) -> _T:
        permit = self._permit()
        try:
            return await self._once(call, permit, deadline_s, about)
        except _PASSING as error:
            pause_s = random.uniform(*_PAUSE_S)  # noqa: S311 - no secret
            if not _is_passing(error) or self._blocked() is not None:
                raise
            if asyncio.get_running_loop().time() + pause_s >= deadline_s:
                raise
            await asyncio.sleep(pause_s)
            try:
                permit = self._permit()
            except NotAskedError:
                raise error from None
            return await self._once(call, permit, deadline_s, about)

    async def _once(
        self, call: Callable[[], Awaitable[_T]], permit: Permit | None, deadline_s: float, about: int
    ) -> _T:
        breaker, now_s = self._breaker, self._monotonic
        if breaker is None or permit is None:
            return await _in_time(call, deadline_s)
        is_told = False
        try:
            answer = await _in_time(call, deadline_s)
            is_told = True
            breaker.succeeded(permit, now_s())
            self._puzzling.clear()
        except RejectedError:
            is_told = True
            breaker.succeeded(permit, now_s())
            raise
        except ProviderError as error:
            self._last_failure = error.reason
            if permit.is_probe or self._is_news(error, about):
                is_told = True
                breaker.failed(permit, now_s(), error.retry_after_s)
            raise
        finally:
            if not is_told:
                breaker.abandoned(permit)
        return answer

    def _is_news(self, error: ProviderError, about: int) -> bool:
        """Whether it says more of the provider than was known: nonsense about the same token does not."""
        if not isinstance(error, UnusableAnswerError) or isinstance(error, FailingError):
            return True
        is_new = about not in self._puzzling
        self._puzzling.add(about)
        if len(self._puzzling) > _PUZZLING_MAX:
            self._puzzling.clear()
        return is_new

    def _permit(self) -> Permit | None:
        """Asked for when the call can be made at once: what waited for a slot may find the breaker open by now."""
        permit = None if self._breaker is None else self._breaker.ask(self._monotonic())
        if isinstance(permit, LeaveAlone):
            raise self._left_alone(permit)
        return permit

    def _blocked(self) -> LeaveAlone | None:
        return None if self._breaker is None else self._breaker.blocks(self._monotonic())

    def _left_alone(self, blocked: LeaveAlone) -> NotAskedError:
        return NotAskedError(f"it is left alone for a while, because {self._last_failure}", blocked.wait_s)


async def _in_time(call: Callable[[], Awaitable[_T]], deadline_s: float) -> _T:
    try:
        async with asyncio.timeout_at(deadline_s):
            return await call()
    except TimeoutError:
        raise DeadlineError("it gave no complete answer in time") from None


def _is_passing(error: ProviderError) -> bool:
    return not isinstance(error, UntrustedError) and not error.retry_after_s
