"""Traces over a real collector: which spans a request becomes, and what the backend is told of its trace."""

import aiohttp
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from support.collector import Collector
from support.serving import two_routes

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
PARENT = f"traceparent: 00-{TRACE}-{SPAN}-01"
SERVER, CLIENT, ERROR = 2, 3, 2  # of the protocol's enumerations


@pytest.fixture
async def collector():
    collecting = Collector()
    await collecting.start()
    yield collecting
    await collecting.stop()


def telemetry(collector, **more):
    return {"otlp": collector.url, "sample": 1, "service": "edge", **more}


def parts(traceparent):
    _, trace, span, flags = traceparent.split("-")
    return trace, span, flags


async def test_a_request_is_a_span_with_a_child_for_each_wait(serve, provider, backend, collector) -> None:
    gateway = await serve(telemetry=telemetry(collector))
    answer = await gateway.get("/api/x?secret=hush", PARENT, "tracestate: a=1", token="good")
    assert answer.status == 200
    await gateway.stop()
    assert collector.services == {"edge"}
    (server,) = [one for one in collector.spans if one.kind == SERVER]
    children = [one for one in collector.spans if one.kind == CLIENT]
    assert server.name == "GET api"
    assert server.trace_id.hex() == TRACE
    assert server.parent_span_id.hex() == SPAN
    assert sorted(one.name for one in children) == [f"forward {backend.url}", "introspect p"]
    for child in children:
        assert child.parent_span_id == server.span_id
        assert server.start_time_unix_nano <= child.start_time_unix_nano <= child.end_time_unix_nano
        assert child.end_time_unix_nano <= server.end_time_unix_nano + 5_000_000  # rounded apart
    forwarded = next(one for one in children if one.name.startswith("forward"))
    assert backend.requests[-1].values("traceparent") == [f"00-{TRACE}-{forwarded.span_id.hex()}-01"]
    assert backend.requests[-1].values("tracestate") == ["a=1"]
    assert "hush" not in str(collector.spans)
    assert "good" not in str(collector.spans)
    (line,) = gateway.lines.requests
    assert line["trace_id"] == TRACE


async def test_a_request_that_knows_its_facts_waits_for_the_backend_alone(serve, collector) -> None:
    gateway = await serve(telemetry=telemetry(collector))
    await gateway.get("/api/x", token="good")
    await gateway.get("/api/y", token="good")
    await gateway.stop()
    assert len([one for one in collector.spans if one.name.startswith("introspect")]) == 1
    assert len([one for one in collector.spans if one.name.startswith("forward")]) == 2


async def test_without_a_trace_one_begins(serve, backend, collector) -> None:
    gateway = await serve(telemetry=telemetry(collector))
    await gateway.get("/open/x")
    await gateway.stop()
    (server,) = [one for one in collector.spans if one.kind == SERVER]
    assert server.parent_span_id == b""
    trace, _, flags = parts(*backend.requests[-1].values("traceparent"))
    assert (trace, flags) == (server.trace_id.hex(), "01")


async def test_what_is_not_sampled_is_followed_and_sends_nothing(serve, backend, collector) -> None:
    gateway = await serve(telemetry=telemetry(collector, sample=0))
    await gateway.get("/open/x", PARENT, "Trace-Parent: forged", "tracestate: a=1")
    await gateway.stop()
    assert collector.spans == []
    trace, span, flags = parts(*backend.requests[-1].values("traceparent"))
    assert (trace, flags) == (TRACE, "00")
    assert span != SPAN
    assert backend.requests[-1].values("trace-parent") == []
    assert gateway.lines.requests[0]["trace_id"] == TRACE


async def test_a_trusted_proxy_decides(serve, collector) -> None:
    gateway = await serve(telemetry=telemetry(collector, sample=0), server={"trusted_proxies": ["127.0.0.1/32"]})
    await gateway.get("/open/x", PARENT)
    await gateway.stop()
    assert [one.trace_id.hex() for one in collector.spans if one.kind == SERVER] == [TRACE]


async def test_a_refusal_is_a_span_too(serve, backend, provider, collector) -> None:
    gateway = await serve(telemetry=telemetry(collector))
    await gateway.get("/api/x")
    provider.default = {"active": "perhaps"}
    await gateway.get("/api/x", token="other")
    await gateway.stop()
    found = {one.attributes[1].value.int_value: one for one in collector.spans if one.kind == SERVER}
    assert set(found) == {401, 503}
    assert found[503].status.code == ERROR
    assert backend.requests == []


async def test_without_telemetry_the_fields_pass(serve, backend) -> None:
    gateway = await serve()
    await gateway.get("/open/x", PARENT, "tracestate: a=1")
    assert backend.requests[-1].values("traceparent") == [PARENT.partition(": ")[2]]
    assert backend.requests[-1].values("tracestate") == ["a=1"]
    assert gateway.lines.requests[0]["trace_id"] is None


async def test_a_route_that_removes_the_field_sends_none(serve, backend, collector) -> None:
    routes = two_routes(backend, request_headers={"remove": ["traceparent"]})
    gateway = await serve(routes, telemetry=telemetry(collector))
    await gateway.get("/open/x", PARENT)
    assert backend.requests[-1].values("traceparent") == []


async def test_a_collector_that_refuses_is_told_of_once(serve, collector) -> None:
    collector.status = 400
    gateway = await serve(telemetry=telemetry(collector))
    for _ in range(3):
        assert (await gateway.get("/open/x")).status == 200
    await gateway.stop()
    (line,) = [one for one in gateway.lines.all if one["event"] == "telemetry_away"]
    assert line["url"] == collector.url + "/v1/traces"


async def test_openmetrics_leads_to_the_trace_of_a_request(serve, collector) -> None:
    gateway = await serve(telemetry=telemetry(collector))
    await gateway.get("/open/x", PARENT)
    text = await metrics(gateway, "application/openmetrics-text")
    (found,) = [one for family in text_string_to_metric_families(text) for one in family.samples if one.exemplar]
    assert (found.name, found.labels["route"]) == ("gateway_request_duration_seconds_bucket", "open")
    assert found.exemplar.labels == {"trace_id": TRACE}
    assert found.exemplar.value <= float(found.labels["le"])
    assert "trace_id" not in await metrics(gateway, "text/plain")


async def metrics(gateway, accept):
    url, headers = f"{gateway.admin_url}/metrics", {"Accept": accept}
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        return await answer.text()
