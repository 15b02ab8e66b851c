"""What a scrape of a running gateway says of it."""

import asyncio
import time

import aiohttp
import pytest
import trustme
from prometheus_client.parser import text_string_to_metric_families
from support.backend import Pause, chunked, ok, script
from support.running_gateway import configuration, eventually, gateways, provider_settings
from support.signing import signed
from support.wire import request

STREAM_S = 0.4
SHORT_S = 0.25
KEY = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Key: " + "a" * 22 + "==",
    "Sec-WebSocket-Version: 13",
)
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


async def scraped(gateway, accept="*/*"):
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{gateway.admin_url}/metrics", headers={"Accept": accept}) as answer,
    ):
        return answer.headers["Content-Type"], await answer.text()


async def samples(gateway):
    _, text = await scraped(gateway)
    return {
        (one.name, *one.labels.values()): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


@pytest.mark.parametrize(
    ("field", "is_stream"),
    [
        ("Content-Type: text/event-stream", True),
        ("content-type:Text/Event-Stream; charset=utf-8", True),
        ("Content-Type: text/event-streams", False),
        ("Content-Type: text/plain", False),
        ("X-Content-Type: text/event-stream", False),
    ],
)
async def test_a_streams_length_is_not_a_requests_duration(serve, backend, field, is_stream):
    begun = chunked(b"data: 1\n\n", fields=(field,), end=b"")
    backend.default = script(begun, Pause(STREAM_S), b"0\r\n\r\n")
    gateway = await serve()
    assert (await gateway.get("/open/x")).body == b"data: 1\n\n"
    line = await gateway.log_line()
    assert line["duration_ms"] >= 1000 * STREAM_S * 0.9  # the access log has the whole of it
    seconds = (await samples(gateway))["gateway_request_duration_seconds_sum", "open"]
    assert (seconds < SHORT_S) is is_stream


async def test_nor_is_that_of_an_upgraded_connection(serve, backend):
    backend.default = script(SWITCH, Pause(STREAM_S))
    gateway = await serve()
    client = await gateway.client()
    await client.send(request("GET", "/open/x", *KEY))
    assert (await client.answer()).status == 101
    await asyncio.sleep(STREAM_S)
    await client.close()
    assert (await gateway.log_line())["duration_ms"] >= 1000 * STREAM_S * 0.9
    assert (await samples(gateway))["gateway_request_duration_seconds_sum", "open"] < SHORT_S


async def test_how_the_gateway_stands(serve, provider):
    before = time.time()
    gateway = await serve()
    found = await samples(gateway)
    assert found["gateway_ready",] == 1
    assert found["gateway_provider_up", "p"] == 1
    assert found["gateway_cache_entries",] == 0
    assert found["gateway_worker_restarts_total",] == 0
    assert before - 1 <= found["gateway_config_last_reload_seconds",] <= time.time() + 1
    assert not [name for name in found if name[0] in {"gateway_redis_up", "gateway_certificate_expiry_seconds"}]
    assert found["process_open_fds",] > 3
    await gateway.get("/api/x", token="good")
    assert (await samples(gateway))["gateway_cache_entries",] == 1
    gateway.service._serving._worker.lame_duck()
    assert (await samples(gateway))["gateway_ready",] == 0


async def test_a_good_reload_is_the_last_one_and_a_bad_one_is_not(serve):
    gateway = await serve()
    gateway.expects_errors = True
    good = gateway.text
    first = (await samples(gateway))["gateway_config_last_reload_seconds",]
    await asyncio.sleep(0.05)
    assert not await gateway.reload("{")
    assert (await samples(gateway))["gateway_config_last_reload_seconds",] == first
    assert await gateway.reload(good)
    assert (await samples(gateway))["gateway_config_last_reload_seconds",] > first


async def test_a_provider_that_was_not_discovered_or_whose_breaker_is_open_is_not_up(provider, backend):
    provider_away = {"issuer": "http://127.0.0.1:9/realms/x", "client_id": "gw", "client_secret": "0123456789abcdef"}
    fails = provider_settings(provider, breaker={"failures": 1, "interval": "60s"}, timeout="300ms")
    routes = [
        {"name": "a", "match": {"path": "/a/**"}, "backend": backend.url, "auth": {"provider": "away"}},
        {"name": "b", "match": {"path": "/b/**"}, "backend": backend.url, "auth": {"provider": "fails"}},
    ]
    async with gateways() as start:
        gateway = await start(configuration(providers={"away": provider_away, "fails": fails}, routes=routes))
        found = await samples(gateway)
        assert found["gateway_ready",] == 0
        assert (found["gateway_provider_up", "away"], found["gateway_provider_up", "fails"]) == (0, 1)
        await provider.stop()
        assert (await gateway.get("/b/x", token="t")).status == 503
        generation = gateway.service._serving._worker.generation
        await eventually(lambda: generation.providers["fails"].breaker == "open")
        assert (await samples(gateway))["gateway_provider_up", "fails"] == 0


@pytest.mark.parametrize("realms", [["test", "missing"], ["missing", "test"]], ids=" ".join)
async def test_a_provider_is_not_up_while_one_of_its_realms_is_not(provider, backend, realms):
    """The gateway is ready, because it can ask one. But callers of the other get 503."""
    provider.discovery = provider.metadata()  # whose issuer is that of the realm `test`
    sso = {"issuer": f"{provider.url}/realms/{{realm}}", "realms": realms, "client_id": "gw", "client_auth": "none"}
    route = {"name": "a", "backend": backend.url}
    async with gateways() as start:
        gateway = await start(configuration(providers={"sso": sso}, routes=[route]))
        generation = gateway.service._serving._worker.generation
        await eventually(lambda: generation.providers["sso/test"].ready)
        await eventually(lambda: generation.providers["sso/missing"].why_not_ready)
        found = await samples(gateway)
        assert (found["gateway_ready",], found["gateway_provider_up", "sso"]) == (1, 0)


async def test_redis_that_is_not_there_is_not_up(serve):
    gateway = await serve(cache={"redis": "redis://127.0.0.1:9/0", "secret": "s" * 32})
    assert (await samples(gateway))["gateway_redis_up",] == 0


async def test_when_the_certificate_ends(serve, tmp_path):
    issued = trustme.CA().issue_cert("localhost")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued.private_key_and_cert_chain_pem.write_to_path(str(certificate))
    issued.private_key_pem.write_to_path(str(key))
    gateway = await serve(server={"tls": {"certificate": str(certificate), "key": str(key)}})
    ends = (await samples(gateway))["gateway_certificate_expiry_seconds", "server.tls.certificate"]
    assert ends > time.time()


async def test_when_the_certificates_end_that_are_shown_to_providers_and_backends(serve, tmp_path):
    issued = trustme.CA().issue_cert("gateway")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "pair.pem")
    tls = {"certificate": str(tmp_path / "pair.pem"), "key": str(tmp_path / "pair.pem")}
    backends = ["http://127.0.0.1:1", {"url": "https://127.0.0.1:1", "tls": tls}]
    route = {"name": "r", "match": {"path": "/**"}, "backend": backends}
    found = await samples(await serve(routes=[route], provider_keys={"tls": tls}))
    for where in ("providers.p.tls.certificate", "routes.r.backend[1].tls.certificate"):
        assert found["gateway_certificate_expiry_seconds", where] > time.time()


async def test_openmetrics_is_answered_to_those_who_ask_for_it(serve, backend):
    backend.default = script(ok(b"x"))
    gateway = await serve()
    kind, text = await scraped(gateway, "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5")
    assert kind.startswith("application/openmetrics-text; version=1.0.0")
    assert text.endswith("# EOF\n")
    kind, text = await scraped(gateway)
    assert kind.startswith("text/plain; version=")
    assert "# EOF" not in text


async def test_a_provider_whose_keys_cannot_be_had_is_not_up(provider, backend):
    sso = {"issuer": provider.issuer, "jwks_uri": provider.jwks_uri, "validation": "jwt"}
    async with gateways() as start:
        gateway = await start(configuration(providers={"p": sso}, routes=[{"name": "a", "backend": backend.url}]))
        assert (await samples(gateway))["gateway_provider_up", "p"] == 1
        assert (await gateway.get("/", token=signed({"iss": provider.issuer}))).status == 503
        assert (await samples(gateway))["gateway_provider_up", "p"] == 0
        [line] = [line for line in gateway.lines.all if line["event"] == "provider_failing"]
        assert (line["provider"], line["reason"]) == ("p", "its keys were answered with status 404")
