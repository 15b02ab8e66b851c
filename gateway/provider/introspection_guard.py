"""Guards one provider's introspection endpoint: bounds the calls and the waiters, and stops while it fails.

    run -> breaker open? -> wait for a slot -> call, one deadline -> retry once -> tell breaker and suspects -> probe?

- A question waits for one of `max_concurrency` slots. The queue is fair between client networks; the wait is bounded.
- Then its call begins, with the whole `timeout`. So time in our own queue never looks like a slow provider.
- A call that failed in a transient way is tried once more, if its deadline still allows it. The pause before that is
  random, so that not everybody hits a provider that stumbles again at the same instant.
- Only a probe, an introspection of a random token, opens the breaker. It is sent when enough calls have failed, and
  when an open breaker's time is over. The call that makes it due waits for its outcome; all others go on.
- One task runs the probe. It outlives the callers that wait for it; `close` cancels it.
- While the breaker is open, arriving and waiting questions fail at once. When it closes, calls begin one at a time,
  and each response allows one more.
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
    UnusableResponseError,
)
from gateway.provider.slots import Slots
from gateway.provider.suspects import Suspects

_PAUSE_S = (0.05, 0.15)
# 1,024 questions at 100 calls a second. A client that waits longer has most likely left.
WAIT_MAX_S = 10.0
_TRANSIENT = (UnreachableError, ConnectionLostError, OverloadedError)

_T = TypeVar("_T")


class IntrospectionGuard:
    """Runs one provider's introspections in this process. Without a `breaker` every question is sent.

    `probe` introspects a random token; it raises `ProviderError` for a response that cannot be relied on. A probe that
    succeeds clears the provider for `cleared_s`.
    """

    def __init__(
        self,
        *,
        max_concurrency: int,
        max_waiting: int,
        timeout_s: float,
        breaker: Breaker | None,
        probe: Callable[[], Awaitable[object]],
        cleared_s: float = 5.0,
        wait_max_s: float = WAIT_MAX_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._slots = Slots(max_concurrency, max_waiting, wait_max_s)
        self._timeout_s = timeout_s
        self._breaker = breaker
        self._probe = probe
        self._suspects = Suspects(cleared_s)
        self._monotonic = monotonic
        self._open_reason = ""  # why the breaker opened last
        self._probing: asyncio.Task[None] | None = None

    @property
    def breaker_is_open(self) -> bool:
        return self._blocked() is not None

    @property
    def max_duration_s(self) -> float:
        """How long a question that comes now may take: its call, and the waiting before it."""
        probe_s = 0.0 if self._breaker is None or self._breaker.state == "closed" else self._timeout_s
        return probe_s + self._slots.wait_s + self._timeout_s

    async def run(
        self, call: Callable[[], Awaitable[_T]], token: str = "", address: str = "", joiners: Joiners | None = None
    ) -> _T:
        """Make `call` for `token` and the client at `address`, and return its result. Raises `ProviderError`.

        The call takes the first slot that the client's network or one of `joiners` gets. The error is `NotAskedError`
        where no call was made, and `CrowdedError` where our own queue is the reason.
        """
        await self._wait_until_allowed()
        async with self._slots.hold(client_network(address), joiners):
            return await self._call_with_retry(call, _suspect(token, address))

    def is_to_blame(self, token: str, address: str) -> bool:
        """Whether a failed call about the token is the doing of the token and its sender, not of the provider."""
        return self._suspects.is_to_blame(_suspect(token, address), self._monotonic())

    async def close(self) -> None:
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.wait({self._probing})

    async def _wait_until_allowed(self) -> None:
        breaker = self._breaker
        if breaker is None:
            return
        if breaker.state != "closed" and breaker.wants_probe(self._monotonic()):
            await self._probe_provider()
        if blocked := breaker.blocks(self._monotonic()):
            raise self._not_asked(blocked)

    async def _call_with_retry(self, call: Callable[[], Awaitable[_T]], suspect: int) -> _T:
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + self._timeout_s
        try:
            return await self._attempt(call, deadline_s, suspect)
        except _TRANSIENT as error:
            pause_s = random.uniform(*_PAUSE_S)  # noqa: S311 - no secret
            if not _is_transient(error) or self._blocked() is not None or loop.time() + pause_s >= deadline_s:
                raise
            await asyncio.sleep(pause_s)
            try:
                return await self._attempt(call, deadline_s, suspect, has_full_timeout=False)
            except NotAskedError:
                raise error from None

    async def _attempt(
        self, call: Callable[[], Awaitable[_T]], deadline_s: float, suspect: int, *, has_full_timeout: bool = True
    ) -> _T:
        """Make the call once. Without `has_full_timeout` a call that is too slow is not a failure of the provider."""
        breaker = self._breaker
        if breaker is None:
            return await self._by_deadline(call, deadline_s)
        permit = breaker.request_permit(self._monotonic())
        if isinstance(permit, BreakerOpen):
            raise self._not_asked(permit)
        try:
            result = await self._by_deadline(call, deadline_s)
        except ProviderError as error:
            now_s = self._monotonic()
            if isinstance(error, RejectedError):
                self._succeeded(suspect)
                breaker.succeeded(permit, now_s)
            elif (has_full_timeout or not isinstance(error, DeadlineError)) and self._blames_provider(
                error, suspect, now_s
            ):
                breaker.failed(permit, now_s, makes_suspect=bool(error.retry_after_s) or self._slots.is_ramping_up)
            if breaker.state == "closed" and breaker.wants_probe(now_s):
                await self._probe_provider()
            raise
        self._succeeded(suspect)
        breaker.succeeded(permit, self._monotonic())
        return result

    def _succeeded(self, suspect: int) -> None:
        self._suspects.succeeded(suspect)
        self._slots.grow()

    def _blames_provider(self, error: ProviderError, suspect: int, now_s: float) -> bool:
        if isinstance(error, UnreachableError):
            return True  # no token can cause that
        is_nonsense = isinstance(error, UnusableResponseError) and not isinstance(error, FailingError)
        return self._suspects.failed(suspect, now_s, is_nonsense=is_nonsense)

    async def _probe_provider(self) -> None:
        """Wait for the probe, which this starts unless one is under way. Its task outlives the callers."""
        assert self._breaker is not None  # nothing else wants a probe
        if self._probing is None or self._probing.done():
            self._breaker.begin_probe(self._monotonic())
            self._probing = asyncio.get_running_loop().create_task(self._run_probe(self._breaker))
        # `wait`: a caller that leaves does not end the probe, and a probe that `close` ends does not cancel the caller.
        await asyncio.wait({self._probing})

    async def _run_probe(self, breaker: Breaker) -> None:
        was_open = breaker.state != "closed"
        failure: ProviderError | None = None
        try:
            await self._by_deadline(self._probe, asyncio.get_running_loop().time() + self._timeout_s)
        except RejectedError:
            pass  # it responds, and it does not object to our credentials
        except ProviderError as error:
            failure = error
        except BaseException:
            breaker.probe_abandoned()
            raise
        if failure is not None:
            self._open_reason = failure.reason
            breaker.probe_failed(self._monotonic(), failure.reason, failure.retry_after_s)
            self._slots.reject_waiters(self._breaker_opened)
            return
        if was_open:
            self._slots.restart()
        self._suspects.clear_provider(self._monotonic())
        breaker.probe_succeeded()

    async def _by_deadline(self, call: Callable[[], Awaitable[_T]], deadline_s: float) -> _T:
        try:
            async with asyncio.timeout_at(deadline_s):
                return await call()
        except TimeoutError:
            raise DeadlineError(f"it gave no complete answer within {self._timeout_s:g} s") from None

    def _breaker_opened(self) -> NotAskedError:
        return self._not_asked(self._blocked() or BreakerOpen(1.0))

    def _blocked(self) -> BreakerOpen | None:
        return None if self._breaker is None else self._breaker.blocks(self._monotonic())

    def _not_asked(self, blocked: BreakerOpen) -> NotAskedError:
        return NotAskedError(f"it is not asked for a while, because {self._open_reason}", blocked.wait_s)


def _suspect(token: str, address: str) -> int:
    return hash((token, client_network(address)))


def _is_transient(error: ProviderError) -> bool:
    return not isinstance(error, UntrustedError) and not error.retry_after_s
