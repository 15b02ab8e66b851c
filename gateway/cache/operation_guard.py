"""Decides whether an operation on Redis is tried, and what its outcome says about Redis.

Each operation has one deadline, which includes the wait for a connection. After a failure the gateway does not use
Redis for a moment (`gateway.cache.redis_backoff`).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

from redis.exceptions import ClusterError, NoPermissionError, OutOfMemoryError, ReadOnlyError, ResponseError

from gateway.cache.auto_pipeline import NotSentError
from gateway.cache.connect import FAILURES
from gateway.cache.redis_backoff import RedisBackoff
from gateway.cache.resp import ErrorReply, Reply
from gateway.cache.within import within

_T = TypeVar("_T")
# Error codes of a Redis that can serve nothing. Other errors concern one operation and are not a reason to back off.
_ERRORS: Final[Mapping[str, type[ResponseError]]] = {
    "NOPERM": NoPermissionError,
    "OOM": OutOfMemoryError,
    "READONLY": ReadOnlyError,
}
_CANNOT_SERVE: Final = frozenset({"LOADING", "MASTERDOWN", "NOAUTH"})


class OperationGuard:
    """Runs operations on Redis and backs off when Redis fails.

    `may_use` says whether Redis may be used at all. `run` has up to `at_a_time` operations under way.
    """

    def __init__(
        self,
        may_use: Callable[[], bool],
        monotonic: Callable[[], float],
        *,
        timeout_s: float,
        at_a_time: int,
        on_failure: Callable[[BaseException, float], object] = lambda _error, _now_s: None,
    ) -> None:
        self._may_use = may_use
        self._monotonic = monotonic
        self._timeout_s = timeout_s
        self._on_failure = on_failure
        self._backoff = RedisBackoff()
        self._slots = asyncio.Semaphore(at_a_time)

    @property
    def is_backing_off(self) -> bool:
        return self._backoff.is_backing_off(self._monotonic())

    def may_try(self) -> bool:
        """Ask this once for each operation. In doubt it is true for one operation, which tries Redis for all."""
        return self._may_use() and self._backoff.allows(self._monotonic())

    def succeeded(self) -> None:
        self._backoff.succeeded()

    def failed(self, error: BaseException | None = None) -> None:
        self._backoff.failed(self._monotonic())
        if error is not None:
            self._on_failure(error, self._monotonic())

    def refused(self, error: BaseException) -> None:
        """Redis answered, and said no: no reason to stay away."""
        self._backoff.succeeded()
        self._on_failure(error, self._monotonic())

    def unwanted(self, outcome: list[Reply] | Exception) -> None:
        """Note what it says about Redis that this came from a pipeline in the place of the reply that was wanted."""
        if isinstance(outcome, NotSentError):
            return  # says nothing about Redis
        if isinstance(outcome, Exception):
            self.failed(outcome)
            return
        for reply in outcome:
            if isinstance(reply, ErrorReply):
                error = _ERRORS.get(reply.code, ResponseError)(reply.words or reply.code)
                self.failed(error) if reply.code in _CANNOT_SERVE else self.refused(error)
                return
        self.failed()

    async def tried(self, operation: Callable[[], Awaitable[_T]]) -> _T | None:
        """Return the outcome of `operation`, or `None` when it failed, was too slow, or was not tried."""
        return await self.run(operation) if self.may_try() else None

    async def run(self, operation: Callable[[], Awaitable[_T]], spent_s: float = 0.0) -> _T | None:
        """Do the same for an operation that `may_try` has allowed, and that has taken `spent_s` already."""
        asked_at_s = math.inf
        try:
            async with within(max(0.0, self._timeout_s - spent_s)), self._slots:
                asked_at_s = self._monotonic()
                outcome = await operation()
        except ResponseError as error:
            # Redis replied, for instance that a type is wrong or memory is short. That is not a reason to back off.
            if isinstance(error, ClusterError):
                self.failed(error)
            else:
                self.refused(error)
            return None
        except TimeoutError as error:
            # A caller that waited for a connection for most of the time says little about Redis.
            if self._monotonic() - asked_at_s >= self._timeout_s / 2:
                self.failed(error)
            return None
        except FAILURES as error:
            self.failed(error)
            return None
        self.succeeded()
        return outcome
