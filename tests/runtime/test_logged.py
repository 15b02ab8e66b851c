"""The access log of whole exchanges: what each line says, and what no line ever says."""

import json

from support.running_gateway import ADMIN_TOKEN, CLIENT_SECRET
from support.scripted_provider import Fault
from support.wire import request

FIELDS = {
    "time",
    "level",
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
