"""Tells systemd, or another manager that speaks its protocol, how the service is: sd_notify(3), without its library.

A message is a few lines in one datagram to the Unix socket that `NOTIFY_SOCKET` names. Without the variable nothing is
sent. Only the first process speaks: it takes the variables out of the environment, so that no worker does.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, MutableMapping

_logger = logging.getLogger(__name__)

# The manager reads at once; its queue is full only when the machine stands still.
_SEND_S = 0.5
# As sd_watchdog_enabled(3) advises: half of the time.
_OF_THE_WATCHDOG = 0.5
_STATUS_MAX = 300


class ServiceManager:
    """Sends the states of the service to `address`; None: nowhere. It wants a sign of life each `watchdog_s`."""

    def __init__(
        self, address: str | None = None, watchdog_s: float | None = None, monotonic_us: Callable[[], int] = lambda: 0
    ) -> None:
        self.watchdog_s = watchdog_s
        self._address = address
        self._monotonic_us = monotonic_us
        self._is_stopping = False

    @classmethod
    def from_environment(
        cls, environ: MutableMapping[str, str], pid: int, monotonic_us: Callable[[], int]
    ) -> ServiceManager:
        """The manager that the environment names; it takes the variables out."""
        address, watchdog_us, watchdog_pid = (
            environ.pop(name, "") for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
        )
        is_watched = watchdog_us.isdecimal() and int(watchdog_us) > 0 and watchdog_pid in ("", str(pid))
        return cls(address or None, int(watchdog_us) / 1e6 if is_watched else None, monotonic_us)

    def ready(self, status: str) -> None:
        """It serves: after the start, and after a reload, taken or refused."""
        if not self._is_stopping:
            self._send("READY=1", _status(status))

    def reloading(self) -> None:
        if self._is_stopping:
            return
        # The time is CLOCK_MONOTONIC, and tells this reload from one that was asked for later.
        self._send("RELOADING=1", f"MONOTONIC_USEC={self._monotonic_us()}", _status("reloading"))

    def stopping(self, within_s: float) -> None:
        """It stops, and may take `within_s` for it: as long as the file says, whatever the unit says."""
        self._is_stopping = True  # what a last reload comes to is of no interest any more
        self._send("STOPPING=1", f"EXTEND_TIMEOUT_USEC={int(within_s * 1e6)}", _status("draining"))

    async def keep_alive(self) -> None:
        """Say that the event loop turns, as often as the manager wants to hear it. Returns where it does not."""
        while self.watchdog_s is not None:
            self._send("WATCHDOG=1")
            await asyncio.sleep(self.watchdog_s * _OF_THE_WATCHDOG)

    def _send(self, *lines: str) -> None:
        if self._address is None:
            return
        # A name that begins with @ is in the abstract namespace of Linux.
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.settimeout(_SEND_S)
                sock.sendto("\n".join(lines).encode(), address)
        except OSError as error:
            fields = {"event": "manager_unreachable", "fields": {"reason": os.strerror(error.errno or 0)}}
            _logger.warning("the service manager cannot be told: %s", error, extra=fields)


def _status(text: str) -> str:
    return f"STATUS={' '.join(text.split())[:_STATUS_MAX]}"
