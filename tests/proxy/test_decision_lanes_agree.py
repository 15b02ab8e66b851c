"""Whatever a subrequest tells, the two lanes of the decisions listener answer and record the same.

A client writes the host, the target, the method and most fields of what a proxy tells.
"""

import re
from collections.abc import Iterator

from support.lanes import FAST, GENERAL, lane_keys
from support.wire import Client, request

ROUTES = [
    {"name": "api", "match": {"path": "/api/**"}, "identity": {"headers": {"X-User-Id": "sub"}}},
    {"name": "open", "match": {"path": "/open/**"}, "auth": "none"},
]
HOSTS = (
    *("a.example", "A.example.", "a.example:8080", "a.example:99999", "a.example:", "a..example", "a b", "u@a.example"),
    *(
        "a, b",
        "[::1]:80",
        "0177.0.0.1",
        "127.1",
        "",
        "a?x",
        "a?",
        "a#x",
        "a/api",
        "a\\b",
        "a%2eb",
        "x" * 300,
        ":80",
        "*",
    ),
)
TARGETS = (
    *("/api/x", "/api/", "/api//x", "//api/x", "/api/../x", "/api/..;/x", "/api/%2e%2e/x", "/api/a%2Fb", "/api/x;v=1"),
    *(
        "/api/%00",
        "/api/%zz",
        "/api/x?a=%0d%0a",
        "/api/x?a=b#c",
        "/%61pi/x",
        "/api/ü",
        "/api/a\tb",
        "/api/\x7f",
        "*",
        "",
    ),
    *(
        "?/api/x",
        "/api/" + "a" * 9000,
        "/api" + "/a" * 2000,
        "http://b/api/x",
        "/envoy/api/x",
        "/.well-known/x",
        "/api\\x",
    ),
)
METHODS = ("HEAD", "OPTIONS", "PUT", "TRACE", "CONNECT", "PRI", "get", "", "G T", "GET,POST", "A" * 300)
LINES = (
    *(
        "X-User-Id: root",
        "X_User_Id: root",
        "XUserId: root",
        "X-User-Id : root",
        " X-User-Id: root",
        "X-User-Id: a\x01",
    ),
    *("X-Forwarded-Uri: /open/x", "X-Forwarded-Host: b", "X-Original-URL: http://b/open/x", "X_Forwarded_Uri: /open/x"),
    *(
        "X-Forwarded-Proto: https",
        "X-Forwarded-Proto: gopher",
        "X-Forwarded-For: 192.0.2.1, 192.0.2.2",
        "X-Forwarded-For: x",
    ),
    *(
        "X-Request-Id: a b",
        "X-Request-Id: " + "a" * 300,
        "Forwarded: for=192.0.2.1",
        "Host: b",
        "Authorization: Basic x",
    ),
    *("Authorization: ", "Authorization: Bearer other", "DPoP: x", "Connection: close", "Connection: Authorization"),
    *("Connection: X-Forwarded-Uri, X-Original-URL", "Upgrade: h2c", "Expect: 100-continue", "Expect: x", "Proxy: x"),
    *(
        "Content-Length: 0",
        "Content-Length: 5",
        "Content-Length: -1",
        "Content-Length: 9" + "9" * 30,
        "Content-Length: 5, 5",
    ),
    *(
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip, chunked",
        "Trailer: X-User-Id",
    ),
    *("Access-Control-Request-Method: GET", "X-Big: " + "a" * 40_000, "no colon", ": no name", "Cookie: a\x00b"),
)


def told(method: str, host: str, target: str, *lines: str) -> Iterator[bytes]:
    """In each way."""
    forwarded = (f"X-Forwarded-Method: {method}", f"X-Forwarded-Uri: {target}", f"X-Forwarded-Host: {host}")
    yield request("GET", "/", *forwarded, *lines, token="good")
    original = (f"X-Original-Method: {method}", f"X-Original-URL: https://{host}{target}")
    yield request("GET", "/", *original, *lines, token="good")
    yield request(method, f"/envoy{target}", *lines, host=host, token="good")


WIRES = [
    *(wire for host in HOSTS for wire in told("GET", host, "/api/x")),
    *(wire for target in TARGETS for wire in told("GET", "a.example", target)),
    *(wire for method in METHODS for wire in told(method, "a.example", "/api/x")),
    *(wire for line in LINES for wire in told("GET", "a.example", "/api/x", line)),
]
OF_THE_MOMENT = {"time", "duration_ms", "request_id", "worker", "pid"}
MADE_UP = re.compile(rb"\b[0-9a-f]{32}\b|Date: [^\r]*")


async def held(gateway, wire):
    """What came back, and what the log says of it."""
    before = len(gateway.lines.requests)
    async with await Client.of(gateway.decisions_address) as proxy:
        await proxy.send(wire)
        answer = await proxy.answer(wire.partition(b" ")[0].decode())
    record = await gateway.log_line(before + 1)
    kept = {key: value for key, value in record.items() if key not in OF_THE_MOMENT}
    return MADE_UP.sub(b"", answer.head), MADE_UP.sub(b"", answer.body), kept


async def test_both_lanes_answer_and_record_the_same(serve):
    top = {"decisions": {"listen": "127.0.0.1:0"}}
    fast, general = [await serve(ROUTES, top=top, server=lane_keys(lane)) for lane in (FAST, GENERAL)]
    for wire in WIRES:
        assert await held(fast, wire) == await held(general, wire), wire[:300]
