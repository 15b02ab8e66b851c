import asyncio
import gzip
import json

import aiohttp
import pytest
import yarl
from support.admin import TOKEN, problem
from support.exchanges import exchange

from gateway.config.server_model import Admin
from gateway.workers.instance import InstanceError, Readiness


async def test_liveness_needs_nothing(admin):
    admin.instance.told = Readiness(ready=False, reasons=("starting",))
    answer, body = await admin.ask("GET", "/health/live", token=None)
    assert answer.status == 200
    assert json.loads(body) == {"status": "live"}


async def test_readiness_is_the_instances_own(admin):
    answer, body = await admin.ask("GET", "/health/ready", token=None)
    assert (answer.status, json.loads(body)["status"]) == (200, "ready")
    admin.instance.told = Readiness(ready=False, reasons=("draining",), checks={"workers": "0/2"})
    answer, body = await admin.ask("GET", "/health/ready", token=None)
    assert answer.status == 503
    assert json.loads(body) == {"status": "not ready", "reasons": ["draining"], "checks": {"workers": "0/2"}}


async def test_metrics_are_prometheus_text(admin):
    admin.instance.metrics.finished(exchange(route="orders", status=200))
    answer, body = await admin.ask("GET", "/metrics", token=None)
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    assert b'gateway_requests_total{method="GET",route="orders",status="200"} 1.0\n' in body


async def test_routes_are_the_instances_own(admin):
    answer, body = await admin.ask("GET", "/routes", token=None)
    assert (answer.status, json.loads(body)) == (200, [{"name": "orders"}])


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        *(
            ("GET", path, b"")
            for path in ("/status", "/refusals", "/health/live", "/health/ready", "/routes", "/metrics")
        ),
        ("POST", "/explain", b'{"method": "GET", "url": "/orders"}'),
        ("DELETE", "/cache", b""),
        ("GET", "/nowhere", b""),
    ],
)
async def test_what_a_shell_prints_ends_with_a_newline(admin, method, path, body):
    _, shown = await admin.ask(method, path, data=body)
    assert shown.endswith(b"\n")


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/metrics", "/routes"])
async def test_head_is_get_without_the_body(admin, path):
    answer, body = await admin.ask("HEAD", path, token=None)
    assert (answer.status, body) == (200, b"")
    assert int(answer.headers["Content-Length"]) > 0


@pytest.mark.parametrize("path", ["/health/live", "/nowhere", "/cache"])
async def test_no_answer_may_be_stored_or_taken_for_another_type(admin, path):
    answer, _ = await admin.ask("GET", path)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("body", "selector"),
    [
        (None, {}),
        (b"", {}),
        (b'{"token": "abc"}', {"token": "abc"}),
        (b' {"sub": "alice"}\n', {"sub": "alice"}),
        ('{"sub": "Zoë"}'.encode(), {"sub": "Zoë"}),
    ],
)
async def test_a_purge_says_how_many_entries_went(admin, body, selector):
    answer, got = await admin.ask("DELETE", "/cache", data=body)
    assert (answer.status, json.loads(got)) == (200, {"evicted": 3})
    assert admin.instance.asked == [selector]


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b" ",
        b"\n",
        b"null",
        b"[]",
        b'""',
        b"{",
        b'{"token": "a"',
        b'{"token": ""}',
        b'{"token": null}',
        b'{"token": 1}',
        b'{"token": ["a"]}',
        b'{"sub": {}}',
        b'{"sub": true}',
        b'{"token": "a", "sub": "b"}',
        b'{"token": "a", "token": "b"}',
        b'{"tokens": "a"}',
        b'{"Token": "a"}',
        b'{"token": "a", "more": 1}',
        b'{"subject": "alice"}',
        b"token=abc",
        b"\xff",
        b'\xef\xbb\xbf{"token": "a"}',
        b"[" * 60_000,
    ],
)
async def test_a_purge_that_is_not_understood_purges_nothing(admin, body):
    answer, got = await admin.ask("DELETE", "/cache", data=body)
    assert answer.status == 400
    assert problem(answer, got)["code"] == "invalid_request"
    assert admin.instance.asked == []


async def test_a_purge_whose_selector_is_in_the_query_purges_nothing(admin):
    answer, got = await admin.ask("DELETE", "/cache?sub=alice")
    assert answer.status == 400
    assert "body" in problem(answer, got)["detail"]
    assert admin.instance.asked == []


async def test_a_compressed_body_is_not_inflated(admin):
    body = gzip.compress(b'{"token": "a"}')
    answer, _ = await admin.ask("DELETE", "/cache", data=body, headers={"Content-Encoding": "gzip"})
    assert answer.status == 400
    assert admin.instance.asked == []


async def test_a_purge_that_was_cut_off_purges_nothing(admin):
    url = yarl.URL(admin.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    head = f"DELETE /cache HTTP/1.1\r\nHost: {url.host}\r\nAuthorization: Bearer {TOKEN}\r\n"
    writer.write(f"{head}Content-Length: 20\r\n\r\n".encode())
    await writer.drain()
    writer.write_eof()
    await asyncio.wait_for(reader.read(), 30)
    writer.close()
    await writer.wait_closed()
    assert admin.instance.asked == []


@pytest.mark.parametrize("method", ["DELETE", "POST"])
async def test_a_body_that_is_too_large_is_refused(admin, method):
    path = "/cache" if method == "DELETE" else "/explain"
    answer, got = await admin.ask(method, path, data=b" " * (64 * 1024 + 1))
    assert problem(answer, got)["code"] == "content_too_large"
    assert admin.instance.asked == []


async def test_explain_asks_the_instance(admin):
    question = {"method": "GET", "url": "https://api.example.com/orders", "token": "t"}
    answer, got = await admin.ask("POST", "/explain", json=question)
    assert (answer.status, json.loads(got)["decision"]) == (200, "allow")
    await admin.ask("POST", "/explain", json={"method": "GET", "url": "/orders"})
    assert admin.instance.asked == [question, {"method": "GET", "url": "/orders"}]


@pytest.mark.parametrize(
    "question",
    [
        None,
        [],
        {},
        {"method": "GET"},
        {"url": "/"},
        {"method": "", "url": "/"},
        {"method": "GET", "url": 1},
        {"method": "GET", "url": "/", "token": None},
        {"method": "GET", "url": "/", "tokn": "t"},
    ],
)
async def test_a_question_that_is_not_understood_is_not_asked(admin, question):
    answer, got = await admin.ask("POST", "/explain", json=question)
    assert problem(answer, got)["code"] == "invalid_request"
    assert admin.instance.asked == []


async def test_what_the_instance_refuses_is_the_callers_mistake(admin):
    admin.instance.raises = ValueError("that is no URL")
    answer, got = await admin.ask("POST", "/explain", json={"method": "GET", "url": "http://["})
    assert (answer.status, problem(answer, got)["detail"]) == (400, "that is no URL")


async def test_a_purge_that_is_not_certain_is_never_a_200(admin):
    admin.instance.raises = InstanceError("worker 7: no answer to purge within 10 s")
    answer, got = await admin.ask("DELETE", "/cache")
    assert (answer.status, problem(answer, got)["code"]) == (504, "gateway_timeout")
    assert "worker 7" in problem(answer, got)["detail"]


async def test_a_bug_is_a_500_that_tells_nothing(admin, caplog):
    admin.instance.raises = RuntimeError("s3cret")
    answer, got = await admin.ask("DELETE", "/cache")
    assert (answer.status, problem(answer, got)["code"]) == (500, "internal_error")
    assert b"s3cret" not in got
    assert "s3cret" in caplog.text


GUARDED = pytest.mark.parametrize(("method", "path"), [("POST", "/explain"), ("DELETE", "/cache")])


@GUARDED
async def test_without_a_token_the_answer_is_401_with_a_challenge(admin, method, path):
    answer, got = await admin.ask(method, path, token=None)
    assert (answer.status, problem(answer, got)["code"]) == (401, "token_missing")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="gateway admin"'
    assert admin.instance.asked == []


@GUARDED
@pytest.mark.parametrize("token", ["wrong", TOKEN + "x", TOKEN[:-1], TOKEN.upper(), f"{TOKEN} {TOKEN}", ""])
async def test_with_another_token_the_answer_is_401(admin, method, path, token):
    answer, got = await admin.ask(method, path, token=token)
    assert (answer.status, problem(answer, got)["code"]) == (401, "invalid_token")
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert admin.instance.asked == []


@GUARDED
@pytest.mark.parametrize("settings", [Admin(listen=":9090"), Admin(listen=":9090", token="")])
@pytest.mark.parametrize("token", [None, TOKEN, ""])
async def test_where_no_token_is_configured_nobody_holds_it(admin, method, path, settings, token):
    admin.settings = settings
    answer, got = await admin.ask(method, path, token=token)
    assert (answer.status, problem(answer, got)["code"]) == (403, "forbidden")
    assert admin.instance.asked == []


async def test_a_reload_may_change_the_token(admin):
    admin.settings = Admin(listen="127.0.0.1:9090", token="another-admin-token")
    assert (await admin.ask("DELETE", "/cache"))[0].status == 401
    assert (await admin.ask("DELETE", "/cache", token="another-admin-token"))[0].status == 200


async def test_paths_and_methods_that_there_are_not_are_problems(admin):
    answer, got = await admin.ask("GET", "/nowhere")
    assert (answer.status, problem(answer, got)["code"]) == (404, "no_route")
    answer, got = await admin.ask("GET", "/cache")
    assert (answer.status, problem(answer, got)["code"]) == (405, "method_not_allowed")
    assert "DELETE" in answer.headers["Allow"]


async def test_a_name_of_somebody_elses_does_not_lead_a_browser_here(admin):
    answer, got = await admin.ask("GET", "/routes", headers={"Host": "rebound.example.com:9090"})
    assert (answer.status, problem(answer, got)["code"]) == (403, "forbidden")
    for host in ("localhost:9090", "127.0.0.1:9090", "[::1]:9090"):
        assert (await admin.ask("GET", "/routes", headers={"Host": host}))[0].status == 200


ORIGIN = {"Origin": "https://ops.example.com"}
PREFLIGHT = {**ORIGIN, "Access-Control-Request-Method": "DELETE", "Access-Control-Request-Headers": "authorization"}


async def test_without_cors_no_page_of_another_site_reads_anything(admin):
    answer, _ = await admin.ask("GET", "/metrics", headers=ORIGIN)
    assert "Access-Control-Allow-Origin" not in answer.headers
    answer, got = await admin.ask("OPTIONS", "/cache", headers=PREFLIGHT, token=None)
    assert (answer.status, problem(answer, got)["code"]) == (403, "forbidden")


async def test_an_allowed_origin_may_ask_and_read_and_no_look_alike_may(admin):
    admin.settings = Admin(listen=":9090", token=TOKEN, cors={"allow_origins": ["https://ops.example.com"]})
    answer, _ = await admin.ask("OPTIONS", "/cache", headers=PREFLIGHT, token=None)
    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "https://ops.example.com"
    assert answer.headers["Access-Control-Allow-Methods"] == "DELETE"
    for status, token in ((200, TOKEN), (401, "wrong")):
        answer, _ = await admin.ask("DELETE", "/cache", headers=ORIGIN, token=token)
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (status, "https://ops.example.com")
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert answer.headers["Vary"] == "Origin"
    for other in ("null", "https://ops.example.com.evil.example", "http://ops.example.com"):
        answer, _ = await admin.ask("GET", "/metrics", headers={"Origin": other})
        assert "Access-Control-Allow-Origin" not in answer.headers


async def test_a_slow_body_is_given_up(admin, monkeypatch):
    monkeypatch.setattr("gateway.admin.application._BODY_S", 0.1)

    async def drip():
        yield b"{"
        await asyncio.sleep(20)
        yield b"}"

    try:
        answer, got = await admin.ask("DELETE", "/cache", data=drip())
    except aiohttp.ClientError:
        pass  # the connection was closed before the client had read the answer
    else:
        assert problem(answer, got)["code"] == "request_timeout"
    assert admin.instance.asked == []
