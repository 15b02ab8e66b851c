"""Joins the metrics and the logs of one process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.config.check_events import issuer_of_events
from gateway.config.model import Config, Telemetry
from gateway.config.proxy_url import parse_proxy_url
from gateway.config.redis_url import parse_redis_url, passwords_of
from gateway.observe.access_log import AccessLog
from gateway.observe.backend_meter import BackendMeter
from gateway.observe.exemplars import Exemplars
from gateway.observe.instance_meter import InstanceMeter
from gateway.observe.limit_meter import LimitMeter
from gateway.observe.lines import LineWriter
from gateway.observe.log import configure_logging
from gateway.observe.metrics import Metrics
from gateway.observe.recent_refusals import RecentRefusals
from gateway.observe.snapshots import Snapshot, joined
from gateway.proxy.access_record import AccessRecord
from gateway.proxy.limiter import LimitTally
from gateway.proxy.upstream.backend_state import BackendTally

if TYPE_CHECKING:
    from gateway.observe.telemetry import SpanSender

_LAST_SPANS_S = 2.0


class Observation(Metrics):
    """Counts and logs each exchange of a process, in its metrics and its access log."""

    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self.access_log = AccessLog(writer)
        self.instance = InstanceMeter()
        self.refusals = RecentRefusals()
        self._backends = BackendMeter()
        self._limits = LimitMeter()
        self._writer = writer
        self._exemplars = Exemplars()
        self._telemetry: Telemetry | None = None
        self._spans: SpanSender | None = None

    def snapshot(self) -> Snapshot:
        own = (self.instance, self._backends, self._limits, self._exemplars, self._writer)
        return joined(Metrics.snapshot(self), *(one.snapshot() for one in own))

    def backend_tally(self, route: str, backend: str) -> BackendTally:
        return self._backends.tally(route, backend)

    def limit_tally(self, limit: str) -> LimitTally:
        return self._limits.tally(limit)

    def finished(self, record: AccessRecord) -> None:
        Metrics.finished(self, record)
        if self.access_log.enabled:
            self.access_log.finished(record)
        if record.code is not None:
            self.refusals.add(record)
        if record.spans is not None:
            self._traced(record)

    def configure(self, config: Config) -> None:
        """Follow `log`, and show the series of every route and provider from the start."""
        self.access_log.enabled = config.log.access
        self._writer.write_as(config.log.format)
        self._backends.configured(config.routes)
        self._limits.configured(config.limits)
        configure_logging(config.log.level, self._writer, _secrets(config))
        self._trace(config.telemetry)
        receives = config.events is not None
        transmitters = [
            name for name, one in config.providers.items() if receives and issuer_of_events(one) is not None
        ]
        self.declare([route.name for route in config.routes], list(config.providers), transmitters)

    def _traced(self, record: AccessRecord) -> None:
        if record.trace is None or self._spans is None:
            return
        self._spans.finished(record)
        took_s = record.duration_s if record.head_s is None else record.head_s
        self._exemplars.note(record.route, took_s, record.trace.trace_id, record.started_at + record.duration_s)

    def close(self) -> None:
        """Send what is left to send; may block, for a moment."""
        if self._spans is not None:
            self._spans.close(_LAST_SPANS_S)

    def _trace(self, settings: Telemetry | None) -> None:
        if settings == self._telemetry:
            return
        if self._spans is not None:
            self._spans.close()
        self._telemetry, self._spans = settings, None
        if settings is not None:
            from gateway.observe.telemetry import SpanSender  # noqa: PLC0415 - an extra, and slow to load

            self._spans = SpanSender(settings)


def _secrets(config: Config) -> list[str]:
    """The configured secrets, which no log line may show, wherever it comes from."""
    values = [*(config.cache.secret or ()), config.cache.redis, config.admin.token]
    values += [config.signing.key_file] if config.signing is not None else []
    for provider in config.providers.values():
        values += [provider.client_secret, provider.private_key, provider.proxy]
        values += [provider.events.authorization] if provider.events is not None else []
    proxies = [
        provider.proxy.get_secret_value() for provider in config.providers.values() if provider.proxy is not None
    ]
    passwords = [parse_proxy_url(url).password for url in proxies]
    if config.cache.redis is not None:
        passwords += passwords_of(parse_redis_url(config.cache.redis.get_secret_value()))
    return [*passwords, *(value.get_secret_value() for value in values if value is not None)]
