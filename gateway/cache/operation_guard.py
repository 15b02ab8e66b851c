"""Whether an operation of Redis is tried, and what its outcome says of Redis.

Each operation has one deadline for everything, waiting for a connection included. After a failure Redis is left alone
for a moment (`gateway.cache.redis_backoff`).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.exceptions import ClusterError, ResponseError

from gateway.cache.connect import FAILURES
from gateway.cache.deadline import within
from gateway.cache.redis_backoff import RedisBackoff

_T = TypeVar("_T")


class OperationGuard:
    """`may_use` says whether Redis is to be used at all; `at_a_time` is how many of `run`'s operations have a place."""

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
        """To be asked once for each operation. In doubt it is true for one, which tries Redis for all."""
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

    async def tried(self, operation: Callable[[], Awaitable[_T]]) -> _T | None:
        """The outcome of `operation`, or `None` when it failed, was too slow, or was not tried."""
        return await self.run(operation) if self.may_try() else None

    async def run(self, operation: Callable[[], Awaitable[_T]]) -> _T | None:
        """The same for an operation that `may_try` was asked about."""
        asked_at_s = math.inf
        try:
            async with within(self._timeout_s), self._slots:
                asked_at_s = self._monotonic()
                outcome = await operation()
        except ResponseError as error:
            # It replied, with a wrong type, read-only or out of memory for instance: no reason to back off.
            if isinstance(error, ClusterError):
                self.failed(error)
            else:
                self.refused(error)
            return None
        except TimeoutError as error:
            # Who waited for a connection for most of his time knows little of Redis; those who had one say how it is.
            if self._monotonic() - asked_at_s >= self._timeout_s / 2:
                self.failed(error)
            return None
        except FAILURES as error:
            self.failed(error)
            return None
        self.succeeded()
        return outcome
