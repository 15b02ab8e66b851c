"""Writes one line for each exchange that has ended: the request, the caller, the outcome and the time it took.

A line never holds a token, and never the query, because clients send tokens there by mistake. Only `log.access`
switches it; the level is for events, as with nginx.
"""

from __future__ import annotations

import os
from functools import lru_cache
from json.encoder import encode_basestring_ascii

from gateway.config.realms import entry_name
from gateway.observe.lines import PIPE_ATOMIC_BYTES, LineWriter, cut, rfc3339
from gateway.proxy.access_record import AccessRecord

# The last one always fits: twelve texts, and escaping makes at most twelve bytes of a character.
_TEXT_LIMITS = (500, 100, 24)
_PID = os.getpid()  # each worker is a program of its own, not a fork


class AccessLog:
    """Writes access lines to `writer` while `enabled`."""

    def __init__(self, writer: LineWriter, *, enabled: bool = True) -> None:
        self.enabled = enabled
        self._writer = writer

    def finished(self, record: AccessRecord) -> None:
        """Log an exchange.

        `time` is when the request came, `cache` the tier that knew the facts, and `stale_s` the age of facts that were
        no longer fresh.
        """
        if self.enabled:
            self._writer.write(access_line(record))


def access_line(record: AccessRecord) -> bytes:
    """The exchange as one JSON line. Members that do not apply are null. Status 0: the client left before it."""
    line = _line(record, 2000)
    for limit in _TEXT_LIMITS:
        if len(line) <= PIPE_ATOMIC_BYTES:
            break
        line = _line(record, limit)
    return line


def _line(one: AccessRecord, limit: int) -> bytes:
    # Written out, because every request makes one: this costs a quarter of a general encoder.
    stale_s = "null" if one.stale_s is None else f"{one.stale_s:.3f}"
    backend_ms = "null" if one.backend_s is None else f"{one.backend_s * 1000:.3f}"
    provider = None if one.provider is None else entry_name(one.provider)
    return (
        f'{{"time":"{_time(one.started_at)}","level":"info","event":"request","pid":{_PID},'
        f'"request_id":{_text(one.request_id, limit)},"route":"{one.route}","method":{_text(one.method, limit)},'
        f'"path":{_text(one.path, limit)},"status":{one.status},"code":{_text(one.code, limit)},'
        f'"reason":{_text(one.reason, limit)},'
        f'"duration_ms":{one.duration_s * 1000:.3f},"backend":{_text(one.backend, limit)},'
        f'"backend_ms":{backend_ms},"client":{_text(one.client, limit)},'
        f'"subject":{_text(one.subject, limit)},"client_id":{_text(one.client_id, limit)},'
        f'"trace_id":{_text(None if one.trace is None else one.trace.trace_id, limit)},'
        f'"cache":{_text(one.tier, limit)},"stale_s":{stale_s},"provider":{_text(provider, limit)},'
        f'"bytes_received":{one.bytes_received},"bytes_sent":{one.bytes_sent}}}\n'
    ).encode("ascii")


def _text(value: str | None, limit: int) -> str:
    if value is None:
        return "null"
    return encode_basestring_ascii(value if len(value) <= limit else cut(value, limit))


def _time(wall_s: float) -> str:
    whole_s = int(wall_s)
    return f"{_second(whole_s)}.{int((wall_s - whole_s) * 1000):03d}Z"


@lru_cache(maxsize=64)  # the requests of one second share it; slow ones end among later ones
def _second(wall_s: int) -> str:
    return rfc3339(wall_s)[: -len(".000Z")]
