"""Says in the log that introspections fail, and why, and that they succeed again: one line per change.

Each failed call is in the access log of its request. This is the line for whoever has switched that log off, or looks
for the moment when it began. The lines are bounded: calls that fail now and then, or that somebody makes fail, are not
told of more often than every `_QUIET_S`.
"""

from __future__ import annotations

import logging

from gateway.provider.errors import ProviderError

_QUIET_S = 10.0
_log = logging.getLogger(__name__)


class Trouble:
    """Follows one provider, which has this name in the configuration. `now_s` is the monotonic clock."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._kind: type[ProviderError] | None = None  # of the failure that was told
        self._quiet_until_s = float("-inf")

    def failed(self, error: ProviderError, now_s: float) -> None:
        if type(error) is self._kind or now_s < self._quiet_until_s:
            return
        self._kind = type(error)
        self._quiet_until_s = now_s + _QUIET_S
        fields = {"provider": self._name, "reason": error.reason}
        extra = {"event": "provider_failing", "fields": fields}
        _log.warning("provider %s: introspection fails: %s", self._name, error.reason, extra=extra)

    def succeeded(self) -> None:
        if self._kind is None:
            return
        self._kind = None
        extra = {"event": "provider_answers", "fields": {"provider": self._name}}
        _log.info("provider %s: introspection succeeds again", self._name, extra=extra)
