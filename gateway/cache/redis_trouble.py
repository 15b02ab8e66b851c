"""Says in the log that Redis is away, and why, and that it is back: one line per change.

How this works:

- `Follower` reports each attempt to keep in step with the fleet: `failed` or `succeeded`. The first failure after a
  success is a change, and so is the first attempt of all.
- Operations of requests fail one by one, while Redis answers others: `operation_failed` tells of those, once a minute
  for each kind of error.
- `reason` is why Redis is not used, for `/health/ready`.

Redis' words may quote what it was sent, so the passwords are taken out of them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from gateway.cache.purge_log import LogGoneError
from gateway.cache.redis_failure import redis_failure
from gateway.http.bounded_memo import BoundedMemo

_QUIET_S = 10.0
_OPERATION_QUIET_S = 60.0
_KINDS_MAX = 16
_log = logging.getLogger(__name__)


class RedisTrouble:
    """Follows one Redis. `now_s` is the monotonic clock. With `is_silent` it only keeps the reason."""

    def __init__(self, passwords: Iterable[str] = (), *, is_silent: bool = False) -> None:
        self._passwords = list(passwords)
        self._is_silent = is_silent
        self._away: str | None = None
        self._operation = ""
        self._told: type[BaseException] | None = None  # the failure that was told last, until Redis is back
        self._has_been_used = False
        self._quiet_until_s = float("-inf")
        self._operations_told: BoundedMemo[type[BaseException], float] = BoundedMemo(_KINDS_MAX)

    @property
    def reason(self) -> str:
        """Why Redis is not used; of what failed latest."""
        return self._away or self._operation

    def failed(self, error: BaseException, now_s: float) -> None:
        self._away = self._words(error)
        if type(error) is self._told or now_s < self._quiet_until_s:
            return
        self._told = type(error)
        self._quiet_until_s = now_s + _QUIET_S
        self._say(logging.WARNING, "redis_away", "nothing is shared with the fleet", self._away)

    def succeeded(self) -> None:
        self._away = None
        if self._told is not None or not self._has_been_used:
            self._told = None
            self._has_been_used = True
            self._say(logging.INFO, "redis_back", "in step with the fleet's cache", None)

    def operation_failed(self, error: BaseException, now_s: float) -> None:
        if now_s < self._operations_told.known.get(type(error), float("-inf")) + _OPERATION_QUIET_S:
            return
        self._operations_told.keep(type(error), now_s)
        self._operation = self._words(error)
        self._say(logging.WARNING, "redis_failing", "an operation failed", self._operation)

    def _words(self, error: BaseException) -> str:
        if isinstance(error, LogGoneError):
            return "its log of purges is gone, as after a restart; it is begun anew"
        words = redis_failure(error)
        for password in self._passwords:
            words = words.replace(password, "[redacted]")
        return words

    def _say(self, level: int, event: str, words: str, reason: str | None) -> None:
        if self._is_silent:
            return
        extra = {"event": event, "fields": {} if reason is None else {"reason": reason}}
        _log.log(level, "Redis: %s%s", words, "" if reason is None else f": {reason}", extra=extra)
