"""Logs that introspections or token requests fail, and why, and that they succeed again: one line per change.

The access log has each failed call with its request. This line is for operators who have switched that log off, or who
look for the moment when the failures began. There is at most one line about failures in `_QUIET_S`, even for calls
that fail now and then, or that somebody makes fail.
"""

from __future__ import annotations

import logging

from gateway.provider.errors import ProviderError

_QUIET_S = 10.0
_log = logging.getLogger(__name__)


class Trouble:
    """Logs when calls at one provider begin to fail and when they succeed again. `now_s` is monotonic time."""

    def __init__(self, name: str, what: str = "introspection") -> None:
        self._name = name
        self._what = what
        self._logged: type[ProviderError] | None = None  # the class of the failure that was logged
        self._quiet_until_s = float("-inf")
        self.reason = ""  # of the last failure, until a call succeeds

    def failed(self, error: ProviderError, now_s: float) -> None:
        self.reason = error.reason
        if type(error) is self._logged or now_s < self._quiet_until_s:
            return
        self._logged = type(error)
        self._quiet_until_s = now_s + _QUIET_S
        fields = {"provider": self._name, "reason": error.reason}
        extra = {"event": "provider_failing", "fields": fields}
        _log.warning("provider %s: %s fails: %s", self._name, self._what, error.reason, extra=extra)

    def succeeded(self) -> None:
        self.reason = ""
        if self._logged is None:
            return
        self._logged = None
        extra = {"event": "provider_answers", "fields": {"provider": self._name}}
        _log.info("provider %s: %s succeeds again", self._name, self._what, extra=extra)
