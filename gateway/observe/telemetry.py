"""Sends the spans of recorded requests to a collector, by OTLP over HTTP (extra `introspection-gateway[otel]`).

How this works: a request that is over becomes a server span, with a child for each time it waited for Redis, a provider
or a backend. The SDK's batch processor sends them from a thread of its own; its queue is bounded, and a request never
waits for it. One line in the log tells when the collector stops taking spans, and when it takes them again.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from threading import Thread
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from gateway.config.model import Telemetry
from gateway.http.trace_context import TraceContext
from gateway.proxy.access_record import AccessRecord
from gateway.spans import Span

_logger = logging.getLogger(__name__)
_SDK = "opentelemetry"
_PATH = "/v1/traces"
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_SPAN_ID_BYTES = 8
_NS = 1_000_000_000
_SERVER_ERROR_MIN = 500
_FORWARD = "forward"
# A request that waits more often than this has no more spans: each retry is one.
_CHILDREN_MAX = 32
_TEXT_CHARS_MAX = 1024
_METHOD_CHARS_MAX = 64


class SpanSender:
    """Sends spans as `settings` say, until `close`."""

    def __init__(self, settings: Telemetry) -> None:
        parts = urlsplit(settings.otlp)
        endpoint = settings.otlp if parts.path.strip("/") else settings.otlp.rstrip("/") + _PATH
        logging.getLogger(_SDK).setLevel(logging.CRITICAL)  # it logs each batch that fails; `_Told` tells of the first
        self._resource = Resource.create({"service.name": settings.service})
        self._scope = InstrumentationScope("gateway")
        self._sending = BatchSpanProcessor(_Told(OTLPSpanExporter(endpoint), endpoint))

    def finished(self, record: AccessRecord) -> None:
        """Send the spans of an exchange that is over, if it is recorded."""
        trace = record.trace
        if trace is None or record.spans is None:
            return
        zero_ns = int((record.started_at - record.started_s) * _NS)  # where the monotonic clock began, in Unix time
        self._sending.on_end(self._server_span(record, trace))
        last = next((one for one in reversed(record.spans) if one.name == _FORWARD), None)
        for child in record.spans[:_CHILDREN_MAX]:
            span_id = trace.backend_span_id if child is last else os.urandom(_SPAN_ID_BYTES).hex()
            self._sending.on_end(self._child_span(child, trace, span_id, zero_ns))

    def close(self, within_s: float = 0.0) -> None:
        """Send what is left; waits for that no longer than `within_s`."""
        sending = Thread(target=self._sending.shutdown, name="last spans", daemon=True)
        sending.start()
        sending.join(within_s)

    def _server_span(self, record: AccessRecord, trace: TraceContext) -> ReadableSpan:
        started_ns = int(record.started_at * _NS)
        is_error = record.status >= _SERVER_ERROR_MIN
        return ReadableSpan(
            name=_text(f"{record.method[:_METHOD_CHARS_MAX]} {record.route}"),
            context=_context(trace.trace_id, trace.span_id),
            parent=None if trace.parent_id is None else _context(trace.trace_id, trace.parent_id, is_remote=True),
            resource=self._resource,
            attributes=_attributes(record),
            kind=SpanKind.SERVER,
            instrumentation_scope=self._scope,
            status=Status(StatusCode.ERROR, _text(record.reason or "")) if is_error else Status(StatusCode.UNSET),
            start_time=started_ns,
            end_time=started_ns + int(record.duration_s * _NS),
        )

    def _child_span(self, child: Span, trace: TraceContext, span_id: str, zero_ns: int) -> ReadableSpan:
        return ReadableSpan(
            name=f"{child.name} {child.peer}",
            context=_context(trace.trace_id, span_id),
            parent=_context(trace.trace_id, trace.span_id),
            resource=self._resource,
            attributes={"gateway.peer": child.peer},
            kind=SpanKind.CLIENT,
            instrumentation_scope=self._scope,
            status=Status(StatusCode.UNSET),
            start_time=zero_ns + int(child.started_s * _NS),
            end_time=zero_ns + int(child.ended_s * _NS),
        )


def _context(trace_id: str, span_id: str, *, is_remote: bool = False) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote, _SAMPLED)


def _attributes(record: AccessRecord) -> Mapping[str, str | int]:
    """By the semantic conventions for HTTP, and our own words. Never the query, a token or who the caller is."""
    found: dict[str, str | int | None] = {
        "http.request.method": record.method,
        "http.response.status_code": record.status or None,
        "url.path": record.path,
        "client.address": record.client or None,
        "gateway.route": record.route,
        "gateway.request_id": record.request_id,
        "gateway.code": record.code,
        "gateway.cache": record.tier,
        "gateway.provider": record.provider,
        "gateway.backend": record.backend,
    }
    return {
        name: _text(value) if isinstance(value, str) else value for name, value in found.items() if value is not None
    }


def _text(words: str) -> str:
    """Text that can be sent, and is short: a provider or a client may have written it.

    The exporter drops a whole batch, with the spans of others, where one name has no UTF-8 (a lone surrogate). While
    the collector is away thousands of spans wait in memory.
    """
    cut = words if len(words) <= _TEXT_CHARS_MAX else f"{words[:_TEXT_CHARS_MAX]}…"
    return cut if cut.isascii() else cut.encode("utf-8", "backslashreplace").decode()


class _Told(SpanExporter):
    """An exporter whose failures are told once, and not for each batch. Called from the processor's thread."""

    def __init__(self, exporter: SpanExporter, endpoint: str) -> None:
        self._exporter = exporter
        self._endpoint = endpoint
        self._is_taken: bool | None = None

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._exporter.export(spans)
        except Exception as error:  # noqa: BLE001 - a library in a thread of its own; nobody else would hear of it
            self._tell(is_taken=False, reason=type(error).__name__)
            return SpanExportResult.FAILURE
        self._tell(is_taken=result is SpanExportResult.SUCCESS, reason="it did not take the last batch")
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)

    def _tell(self, *, is_taken: bool, reason: str) -> None:
        if is_taken is self._is_taken:
            return
        was_away, self._is_taken = self._is_taken is False, is_taken
        if not is_taken:
            extra = {"event": "telemetry_away", "fields": {"reason": reason, "url": self._endpoint}}
            _logger.warning("the collector takes no spans, and those are lost: %s", reason, extra=extra)
        elif was_away:
            extra = {"event": "telemetry_back", "fields": {"url": self._endpoint}}
            _logger.info("the collector takes spans again", extra=extra)
