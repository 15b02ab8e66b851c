"""What the first process of an instance knows beside its counts: its configuration, certificates and workers."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from gateway.observe.families import CERTIFICATE_EXPIRY, LAST_RELOAD, WORKER_RESTARTS
from gateway.observe.lines import rfc3339
from gateway.observe.snapshots import Snapshot

_log = logging.getLogger(__name__)


class InstanceMeter:
    """Until `configured` was called there is no configuration to speak of. Restarts begin at 0."""

    def __init__(self) -> None:
        self._worker_restarts = 0
        self._certificate_ends: Mapping[str, float] = {}
        self._last_reload_at: float | None = None

    def configured(self, at: float, certificate_ends: Mapping[str, float]) -> None:
        """A configuration came into force at this Unix time. Its certificates end at these, by their keys."""
        self._last_reload_at = at
        self._certificate_ends = dict(certificate_ends)
        for where, end in certificate_ends.items():
            if end <= at:
                _tell_of_ended(where, end)

    def worker_restarted(self) -> None:
        """Count one worker that takes the place of one that died."""
        self._worker_restarts += 1

    def snapshot(self) -> Snapshot:
        return {
            "counters": {WORKER_RESTARTS.name: [[[], self._worker_restarts]]},
            "states": {LAST_RELOAD.name: [] if self._last_reload_at is None else [[[], self._last_reload_at]]},
            "least": {CERTIFICATE_EXPIRY.name: [[[where], end] for where, end in self._certificate_ends.items()]},
        }


def _tell_of_ended(where: str, end: float) -> None:
    """`gateway check` warns of it, too; but it may have ended since."""
    reason = f"it ended at {rfc3339(end)}, so that no peer trusts it; write a new one to the same file, and reload"
    extra = {"event": "certificate_ended", "fields": {"where": where, "reason": reason}}
    _log.warning("the certificate of %s: %s", where, reason, extra=extra)
