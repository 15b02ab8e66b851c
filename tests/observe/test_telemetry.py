"""Spans whose texts were written by a client or a provider."""

import asyncio

from support.collector import Collector
from support.exchanges import exchange

from gateway.config.model import Telemetry
from gateway.http.trace_context import TraceContext
from gateway.observe.telemetry import SpanSender


def traced(number: int, **more):
    trace = TraceContext(
        f"traceparent: 00-{number:032x}-{number:016x}-01\r\n".encode(), span_id=f"{number:016x}", is_sampled=True
    )
    return exchange(trace=trace, spans=[], **more)


async def sent(*records) -> list:
    collector = Collector()
    await collector.start()
    sender = SpanSender(Telemetry(otlp=collector.url, sample=1))
    for record in records:
        sender.finished(record)
    await asyncio.to_thread(sender.close, 5.0)
    await collector.stop()
    return collector.spans


async def test_text_that_has_no_utf_8_loses_no_spans_of_others() -> None:
    spans = await sent(
        traced(1),
        traced(2, method="\udcff", status=400, path="/\udcff"),
        traced(3, status=503, reason="aud is [\ud800]"),
    )
    assert [one.name for one in spans] == ["GET none", "\\udcff none", "GET none"]
    assert spans[2].status.message == "aud is [\\ud800]"


async def test_long_text_is_cut_since_thousands_of_spans_may_wait() -> None:
    (span,) = await sent(traced(1, method="A" * 9000, status=503, path="/" + "b" * 9000, reason="c" * 9000))
    assert len(span.SerializeToString()) < 4000  # of 36,000
