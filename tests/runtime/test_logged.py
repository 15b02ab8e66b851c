"""The access log of whole exchanges: what each line says, and what no line ever says."""

import json

import pytest
from support.running_gateway import ADMIN_TOKEN, CLIENT_SECRET
from support.scripted_provider import Fault
from support.wire import request

FIELDS = {
    "time",
    "level",
    "pid",
    "trace_id",
    "event",
    "request_id",
    "route",
    "method",
    "path",
    "status",
    "code",
    "reason",
    "duration_ms",
    "backend",
    "backend_ms",
    "client",
    "subject",
    "client_id",
    "cache",
    "stale_s",
    "provider",
    "bytes_received",
    "bytes_sent",
}


async def test_a_line_of_an_exchange(serve, backend):
    gateway = await serve()
    await gateway.ask(request("POST", "/api/x?y=1", token="good", body=b"hello"))
    line = await gateway.log_line()
    assert set(line) == FIELDS
    assert line["route"] == "api"
    assert (line["method"], line["path"], line["status"], line["code"]) == ("POST", "/api/x", 200, None)
    assert (line["subject"], line["client_id"], line["cache"], line["provider"]) == ("alice", "web", "provider", "p")
    assert (line["client"], line["bytes_received"], line["bytes_sent"]) == ("127.0.0.1", 5, 16)
    assert line["backend"] == f"http://127.0.0.1:{backend.port}"
    assert 0 < line["backend_ms"] <= line["duration_ms"]
    await gateway.get("/api/x", token="good")
    assert (await gateway.log_line(2))["cache"] == "local"


async def test_lines_of_refusals(serve, backend, provider):
    gateway = await serve()
    for path, token in (("/api/x", None), ("/api/x", "junk"), ("/nowhere", None)):
        await gateway.get(path, token=token)
    provider.fault = Fault.HTML
    await gateway.get("/api/x", token="new")
    await gateway.log_line(4)
    told = [(line["route"], line["status"], line["code"]) for line in gateway.lines.requests]
    assert told == [
        ("api", 401, "token_missing"),
        ("api", 401, "invalid_token"),
        ("none", 404, "no_route"),
        ("api", 503, "introspection_unavailable"),
    ]
    assert gateway.lines.requests[3]["reason"]
    assert all(line["backend_ms"] is line["backend"] is None for line in gateway.lines.requests)


async def test_no_token_and_no_secret_is_written_anywhere(serve, backend, provider):
    secret = "t0k3n.that-must-not-be-told"
    provider.answers[secret] = {"active": True, "sub": "alice"}
    gateway = await serve(provider_keys={"timeout": "300ms"})
    gateway.expects_errors = True
    wires = [
        request("GET", f"/api/x?access_token={secret}", token=secret),
        request("GET", f"/open/x?token={secret}", f"Cookie: a={secret}"),
        request("GET", "/api/x", f"Authorization: Bearer {secret}", f"Authorization: Bearer {secret}"),
        request("GET", "/api/x", f"Authorization : Bearer {secret}"),
        request("GET", f"/open/{{}}?{secret}", f"Authorization: Bearer {secret}\x01"),
        request("POST", "/api/x", "Content-Length: 99", token=secret + "x", body=b""),
    ]
    for wire in wires:
        await gateway.ask(wire)
    for fault in (Fault.RESET, Fault.HTML, Fault.SILENCE, Fault.NOT_HTTP):
        provider.fault = fault
        await gateway.get("/api/x", token=f"{secret}{fault.name}")
    await gateway.reload("{")
    await gateway.log_line(len(wires) + 4)
    written = b"".join(gateway.lines.raw).decode()
    for word in (secret, CLIENT_SECRET, ADMIN_TOKEN):
        assert word not in written
    assert all(json.loads(line) for line in gateway.lines.raw)


SECRET = "t0k3n-that-must-not-be-told"


@pytest.mark.parametrize(
    ("wire", "status", "reason"),
    [
        (request("GET", "/api/x"), 401, "there is no Authorization field, Bearer wanted"),
        (request("GET", "/api/x", "Authorization: Basic YTpi"), 401, "the scheme is Basic, Bearer wanted"),
        (request("GET", "/api/x", f"Authorization: {SECRET}"), 401, "no scheme before it, Bearer wanted"),
        (request("GET", "/api/x", *[f"Authorization: Bearer {SECRET}"] * 2), 400, "there are 2 Authorization fields"),
        (request("GET", "/api/x", f'Authorization: Bearer "{SECRET}"'), 400, "character 1 of the token, U+0022"),
        (request("GET", "/api/x", f"Authorization : Bearer {SECRET}"), 400, "has a blank before its colon"),
        (request("GET", "/api/x", f"A: \x01{SECRET}"), 400, "has the control character 0x01"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "this is TLS"),
        (request("GET", "/api//x"), 400, "the path has an empty segment"),
        (request("GET", "/api/%2"), 400, "a percent sign is not followed by two hex digits"),
        (request("GET", "/api/x", "Host: b"), 400, "a field stands twice that may stand once, such as Host"),
        (request("POST", "/api/x", "Content-Length: 1", "Content-Length: 1"), 400, "Content-Length"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else str(value),
)
async def test_each_refusal_says_why_in_the_log_and_no_more_to_the_client(serve, backend, wire, status, reason):
    gateway = await serve()
    gateway.expects_errors = True
    answer = await gateway.ask(wire)
    line = await gateway.log_line()
    assert (answer.status, line["status"]) == (status, status)
    assert reason in line["reason"]
    assert line["reason"].isprintable()
    assert SECRET not in str(line)
    if "character" in reason or "Authorization field" in reason or "scheme is" in reason:
        assert reason not in answer.body.decode()
