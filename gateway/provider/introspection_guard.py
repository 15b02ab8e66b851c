"""How one provider's introspection endpoint is asked: so many at a time, so many waiting, and not while it fails.

A question waits for one of `max_concurrency` slots, in a queue that is fair between client networks, and for a bounded
time. Then its call begins, with the whole `timeout`; so what our own queue cost it never looks like a slow provider.
A call that failed in a way that may pass is tried once more, a little later, if its deadline still allows it: the pause
is random, so that a provider that stumbles is not hit by everybody again at the same instant.

A provider is convicted only by a question of the gateway's own, about a random token. It is asked when enough calls
have failed, and when the breaker's time is over; the call that makes it due waits for its outcome, all others go on.
While the breaker is open whoever comes, and whoever waits, is turned away at once. When it closes, calls begin one at a
time and grow in number with each answer.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.http.client_network import client_network
from gateway.introspection.joiners import Joiners
from gateway.provider.breaker import Breaker, BreakerOpen
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
from gateway.provider.slots import Slots
from gateway.provider.suspects import Suspects

_PAUSE_S = (0.05, 0.15)
# 1,024 questions at 100 calls a second. Longer, and the client before the gateway has most likely left.
WAIT_MAX_S = 10.0
_PASSING = (UnreachableError, ConnectionLostError, OverloadedError)

_T = TypeVar("_T")


class IntrospectionGuard:
    """For one provider in one process. Without a `breaker` each question is a call.

    `probe` asks about a random token; it raises `ProviderError` where the answer is not sound.
    """

    def __init__(
        self,
        *,
        max_concurrency: int,
        max_waiting: int,
        timeout_s: float,
        breaker: Breaker | None,
        probe: Callable[[], Awaitable[object]],
        vouched_s: float = 5.0,
        wait_max_s: float = WAIT_MAX_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._slots = Slots(max_concurrency, max_waiting, wait_max_s)
        self._timeout_s = timeout_s
        self._breaker = breaker
        self._probe = probe
        self._suspects = Suspects(vouched_s)
        self._monotonic = monotonic
        self._why = ""  # the breaker opened
        self._probing: asyncio.Task[None] | None = None

    @property
    def breaker_is_open(self) -> bool:
        return self._blocked() is not None

    @property
    def answers_within_s(self) -> float:
        """How long a question that comes now may take: its call, and what it has to wait for before that."""
        probe_s = 0.0 if self._breaker is None or self._breaker.state == "closed" else self._timeout_s
        return probe_s + self._slots.wait_s + self._timeout_s

    async def ask(
        self, call: Callable[[], Awaitable[_T]], about: str = "", address: str = "", joiners: Joiners | None = None
    ) -> _T:
        """What `call` returns; `about` is the token, `address` is the client's. Raises `ProviderError`.

        The call takes the first slot that the client's network or one of `joiners` gets.

        That is `NotAskedError` where no call was made, and `CrowdedError` where that was our own doing.
        """
        await self._until_allowed()
        async with self._slots.hold(client_network(address), joiners):
            return await self._try_twice(call, _who(about, address))

    def are_to_blame(self, about: str, address: str) -> bool:
        """Whether a call about the token that failed says nothing of the provider, but of the token and its sender."""
        return self._suspects.are_to_blame(_who(about, address), self._monotonic())

    async def close(self) -> None:
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.wait({self._probing})

    async def _until_allowed(self) -> None:
        breaker = self._breaker
        if breaker is None:
            return
        if breaker.state != "closed" and breaker.wants_probe(self._monotonic()):
            await self._judge()
        if blocked := breaker.blocks(self._monotonic()):
            raise self._left_alone(blocked)

    async def _try_twice(self, call: Callable[[], Awaitable[_T]], who: int) -> _T:
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + self._timeout_s
        try:
            return await self._once(call, deadline_s, who)
        except _PASSING as error:
            pause_s = random.uniform(*_PAUSE_S)  # noqa: S311 - no secret
            if not _is_passing(error) or self._blocked() is not None or loop.time() + pause_s >= deadline_s:
                raise
            await asyncio.sleep(pause_s)
            try:
                return await self._once(call, deadline_s, who, is_whole=False)
            except NotAskedError:
                raise error from None

    async def _once(
        self, call: Callable[[], Awaitable[_T]], deadline_s: float, who: int, *, is_whole: bool = True
    ) -> _T:
        """`is_whole`: the call has the whole time-out, and what is too slow for less is no failure."""
        breaker = self._breaker
        if breaker is None:
            return await _in_time(call, deadline_s)
        permit = breaker.ask(self._monotonic())
        if isinstance(permit, BreakerOpen):
            raise self._left_alone(permit)
        try:
            answer = await _in_time(call, deadline_s)
        except ProviderError as error:
            now_s = self._monotonic()
            if isinstance(error, RejectedError):
                self._answered(who)
                breaker.succeeded(permit, now_s)
            elif (is_whole or not isinstance(error, DeadlineError)) and self._counts(error, who, now_s):
                breaker.failed(permit, now_s, is_enough=bool(error.retry_after_s) or self._slots.are_growing)
            if breaker.state == "closed" and breaker.wants_probe(now_s):
                await self._judge()
            raise
        self._answered(who)
        breaker.succeeded(permit, self._monotonic())
        return answer

    def _answered(self, who: int) -> None:
        self._suspects.answered(who)
        self._slots.grow()

    def _counts(self, error: ProviderError, who: int, now_s: float) -> bool:
        if isinstance(error, UnreachableError):
            return True  # no token has to do with that
        is_nonsense = isinstance(error, UnusableAnswerError) and not isinstance(error, FailingError)
        return self._suspects.failed(who, now_s, is_nonsense=is_nonsense)

    async def _judge(self) -> None:
        """Asks the gateway's own question, once for all who come meanwhile. The task outlives them."""
        assert self._breaker is not None  # nothing else wants a probe
        if self._probing is None or self._probing.done():
            self._breaker.begin_probe(self._monotonic())
            self._probing = asyncio.get_running_loop().create_task(self._judged(self._breaker))
        # `wait`: a caller that leaves does not end it, and one that `close` ends is no cancellation of the caller.
        await asyncio.wait({self._probing})

    async def _judged(self, breaker: Breaker) -> None:
        is_return = breaker.state != "closed"
        failure: ProviderError | None = None
        try:
            await _in_time(self._probe, asyncio.get_running_loop().time() + self._timeout_s)
        except RejectedError:
            pass  # it answers, and our credentials are not what it minds
        except ProviderError as error:
            failure = error
        except BaseException:
            breaker.abandoned()
            raise
        if failure is not None:
            self._why = failure.reason
            breaker.convicted(self._monotonic(), failure.reason, failure.retry_after_s)
            self._slots.turn_away(self._opened)
            return
        if is_return:
            self._slots.restart()
        self._suspects.acquit_provider(self._monotonic())
        breaker.acquitted()

    def _opened(self) -> NotAskedError:
        return self._left_alone(self._blocked() or BreakerOpen(1.0))

    def _blocked(self) -> BreakerOpen | None:
        return None if self._breaker is None else self._breaker.blocks(self._monotonic())

    def _left_alone(self, blocked: BreakerOpen) -> NotAskedError:
        return NotAskedError(f"it is left alone for a while, because {self._why}", blocked.wait_s)


def _who(about: str, address: str) -> int:
    return hash((about, client_network(address)))


async def _in_time(call: Callable[[], Awaitable[_T]], deadline_s: float) -> _T:
    try:
        async with asyncio.timeout_at(deadline_s):
            return await call()
    except TimeoutError:
        raise DeadlineError("it gave no complete answer in time") from None


def _is_passing(error: ProviderError) -> bool:
    return not isinstance(error, UntrustedError) and not error.retry_after_s
