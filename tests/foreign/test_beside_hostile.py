"""A hostile client before nginx, HAProxy, Apache, Envoy, Caddy and Traefik as `deploy/beside` has them.

Whatever it writes, what the backend gets is what the gateway has decided about: that path, that host, that identity.
"""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
import yaml
from support.backend import CLOSE, HANG, RESET, Backend, SeenRequest, ok, script
from support.beside import BESIDE, PROXIES, started
from support.lanes import FAST, LANES, lane_keys
from support.running_gateway import RunningGateway, configuration, provider_settings
from support.scripted_provider import ScriptedProvider
from support.wire import Client, request

from gateway.http.header_names import fold_header_name

ALICE = {
    "active": True,
    "sub": "alice",
    "username": "alice.b",
    "aud": "orders-api",
    "scope": "orders:read",
    "realm_access": {"roles": ["clerk"]},
}
TOKEN = "token-of-alice"
IDENTITY = {"x-user-id": "alice", "x-user-name": "alice.b", "x-roles": "clerk", "authorization": ""}
GUARDED, ACCOUNT, OPEN = "/orders/7", "/account/x", "/public/x"
MORE_ROUTES = [
    {"name": "home", "match": {"path": "/"}, "auth": "none"},
    {"name": "elsewhere", "match": {"host": "open.example", "path": "/orders/**"}, "auth": "none"},
]
WEBSOCKET = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
)


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    recording = Backend()
    await recording.start()
    recording.default = script(ok())
    yield recording
    await recording.stop()
    assert recording.faults == []


@pytest.fixture
async def provider() -> AsyncIterator[ScriptedProvider]:
    scripted = ScriptedProvider()
    await scripted.start()
    scripted.answers[TOKEN] = ALICE
    yield scripted
    await scripted.stop()


@pytest.fixture
def lane() -> str:
    return FAST


@pytest.fixture
async def gateway(provider: ScriptedProvider, lane: str) -> AsyncIterator[RunningGateway]:
    """As `deploy/beside/gateway.yaml` has it, with an open page and an open host."""
    document = yaml.safe_load((BESIDE / "gateway.yaml").read_text())
    text = configuration(
        providers={"sso": provider_settings(provider)},
        routes=[*MORE_ROUTES, *document["routes"]],
        defaults=document["defaults"],
        decisions={"listen": "127.0.0.1:0"},
        server=lane_keys(lane),
    )
    running = RunningGateway(text)
    await running.start()
    yield running
    await running.stop()
    assert running.lines.errors == []


@pytest.fixture(params=PROXIES)
async def proxy(request, gateway, backend, tmp_path) -> AsyncIterator[int]:
    """Its port."""
    async with started(request.param, tmp_path, gateway.decisions_address[1], backend.port) as port:
        yield port


async def said(port: int, wire: bytes) -> bytes:
    """The beginning of what is answered."""
    async with await Client.of(("127.0.0.1", port)) as client:
        await client.send(wire)
        try:
            return await client.read(2**16)
        except OSError:
            return b""


def status_of(answer: bytes) -> int:
    """The last one: some pass on a 100."""
    found = re.findall(rb"^HTTP/1\.[01] ([0-9]{3})", answer, re.MULTILINE)
    return int(found[-1]) if found else 0


HOSTS = ("Host", "X-Forwarded-Host")
# In which no reader finds another path.
OPEN_PATH = re.compile(r"/|/public(?:/[a-z0-9]+)+/?")


def faults_of(seen: SeenRequest, *, is_alice: bool) -> list[str]:
    """What of a request that reached the backend nobody has decided about."""
    faults = []
    for name, value in IDENTITY.items():
        wanted = [value] if is_alice and value else []
        if [got for got in seen.values(name) if got] != wanted:
            faults.append(f"{name} is {seen.values(name)}")
        spellings = {other for other in seen.names if fold_header_name(other) == fold_header_name(name)}
        faults += sorted(spellings - {name})
    # Apache puts the backend's own host in the place of the client's.
    hosts = {host for name in HOSTS for host in seen.values(name) if not host.startswith("127.0.0.1:")}
    path = seen.target.partition("?")[0]
    if not (
        path == ACCOUNT if is_alice else OPEN_PATH.fullmatch(path) or (path == GUARDED and hosts == {"open.example"})
    ):
        faults.append(f"{seen.target} of {hosts}")
    faults += [name for name in MISLEADING if seen.values(name)]
    options = {option.strip().lower() for value in seen.values("Connection") for option in value.split(",")}
    faults += [f"Connection: {option}" for option in options - {"", "close", "keep-alive", "upgrade", "te"}]
    faults += [f"Upgrade: {value}" for value in seen.values("Upgrade") if value.lower() != "websocket"]
    return faults


# Some backends serve the path that one of the first two has; CGI makes HTTP_PROXY of the third.
MISLEADING = ("X-Original-URL", "X-Rewrite-URL", "Proxy", "DPoP")
TOLD = {
    "by forwarded": ("X-Forwarded-Method: GET", f"X-Forwarded-Uri: {OPEN}", "X-Forwarded-Host: shop.example"),
    "by original": ("X-Original-Method: GET", f"X-Original-URL: http://shop.example{OPEN}"),
}
ANONYMOUS = {
    **{f"told {way}": request("GET", GUARDED, *lines) for way, lines in TOLD.items()},
    **{
        f"told {way}, and what the proxy tells nominated": request(
            "GET", GUARDED, *lines, "Connection: X-Forwarded-Method, X-Forwarded-Uri, X-Forwarded-Host, X-Original-URL"
        )
        for way, lines in TOLD.items()
    },
    "told both": request("GET", GUARDED, *TOLD["by forwarded"], *TOLD["by original"]),
    **{
        f"host {host}": request("GET", GUARDED, host=host)
        for host in (
            *(
                "gw.example?",
                "gw.example?x",
                "gw.example#",
                "gw.example:80?",
                "open.example?",
                "a?:80",
                "open.example#:80",
            ),
            *(
                "open.example, gw.example",
                "gw.example, open.example",
                "open.example@gw.example",
                "gw.example:open.example",
            ),
            *("open.example\\.gw.example", "[open.example]", "$host", "%{HTTP_HOST}", "{host}", "", "open.example\tb"),
        )
    },
    "another host told": request("GET", GUARDED, "X-Forwarded-Host: gw.example", host="open.example"),
    "two hosts": request("GET", GUARDED, "Host: open.example"),
    "two hosts the other way": request("GET", GUARDED, "Host: gw.example", host="open.example"),
    "another host in the target": request("GET", f"http://gw.example{GUARDED}", host="open.example"),
    "another host in the target the other way": request("GET", f"http://open.example{GUARDED}"),
    "another host in a target without a path": request("GET", f"http://open.example?{GUARDED}"),
    "a user in the target": request("GET", f"http://open.example@gw.example{GUARDED}"),
    **{
        f"target {target}": request("GET", target)
        for target in (
            *("//orders/7", "/public//../orders/7", "/public/..;/orders/7", "/public/..%2forders/7", "/orders%2f7"),
            *("/public/%2e%2e/orders/7", "/public/.%2e/orders/7", "/public/..%5corders/7", "/public\\..\\orders/7"),
            *("/public/x%00/../../orders/7", "/orders/7%00", "/orders/7;/../../public/x", "/orders/7?/../../public/x"),
            *("/public/%c0%ae%c0%ae/orders/7", "/public/..%00/orders/7", "/;/orders/7", "/%6frders/7", "/./orders/7"),
            *("*", "orders/7", "?/orders/7", "http:///orders/7", "/public/x%zz", "/orders/7#/public/x", "/.decision"),
            *("/envoy/public/x", "/public/" + "a" * 9000, "/public/" + "a/" * 4000, "/public/" + "a" * 100_000),
        )
    },
    **{
        f"method {method}": request(method, GUARDED) for method in ("HEAD", "TRACE", "CONNECT", "PRI", "get", "OPTIONS")
    },
    "no authority": request("CONNECT", "gw.example:443"),
    "a body that is a request": request("GET", GUARDED, body=request("GET", GUARDED)),
    "behind another": request("GET", OPEN) + request("GET", GUARDED),
    "HTTP/1.0 without a host": b"GET /orders/7 HTTP/1.0\r\n\r\n",
    "HTTP/0.9": b"GET /orders/7\r\n\r\n",
    "an empty token": request("GET", GUARDED, "Authorization: Bearer "),
    "a token in a line of its own": request("GET", GUARDED, "Authorization:", " Bearer x"),
    **{
        f"{name} on an open path and {more}": request("GET", OPEN, f"{name}: root", *more)
        for name in (
            "X-User-Id",
            "x-USER-id",
            "X_User_Id",
            "X.User.Id",
            "X!User!Id",
            "XUserId",
            "X-User_Id",
            "X-User-Id!",
            "!X-User-Id",
            "Author.ization",
            "Authorization",
        )
        for more in ((), (f"{name}: root",), (f"Connection: {name}",), (f"Connection: close, {name}",))
    },
    **{f"{name} on an open path": request("GET", OPEN, f"{name}: {GUARDED}") for name in MISLEADING},
    **{
        f"upgrade to {' and '.join(names)}": request(
            "GET",
            OPEN,
            "Connection: Upgrade, HTTP2-Settings",
            *(f"Upgrade: {n}" for n in names),
            "HTTP2-Settings: AAMAAABk",
        )
        for names in (
            ("h2c",),
            ("h2c, websocket",),
            ("websocket, h2c",),
            ("websocket", "h2c"),
            ("h2c", "websocket"),
            ("TLS/1.0",),
        )
    },
}
ALICES = {
    **{
        f"Connection: {options}": request("GET", ACCOUNT, *(f"Connection: {one}" for one in options), token=TOKEN)
        for options in (
            *(
                ("X-User-Id",),
                ("x-user-id",),
                ("close, X-User-Id",),
                ("keep-alive", "X-User-Id"),
                ("X-User-Id", "close"),
            ),
            *(
                ("X-User-Id, X-User-Name, X-Roles",),
                ("TE, X-Roles",),
                ("keep-alive,,X-Roles",),
                ("Host",),
                ("Authorization",),
            ),
            *(("X-Forwarded-Uri, X-Original-URL",), ("closeX-User-Id",), ("X-User-Id\t, close",), ("Content-Length",)),
        )
    },
    "an upgrade that nominates": request(
        "GET", ACCOUNT, "Connection: Upgrade, X-User-Id", *WEBSOCKET[1:], "X-User-Id: root", token=TOKEN
    ),
    "a trailer": request(
        *("POST", ACCOUNT, "Transfer-Encoding: chunked", "Trailer: X-User-Id"),
        token=TOKEN,
    )
    + b"5\r\nhello\r\n0\r\nX-User-Id: root\r\n\r\n",
    "a body": request("GET", ACCOUNT, token=TOKEN, body=b"hello"),
    "two identities": request("GET", ACCOUNT, "X-User-Id: root", "X-User-Id: alice", token=TOKEN),
    "HEAD": request("HEAD", ACCOUNT, token=TOKEN),
    "a whole URL": request("GET", f"http://gw.example{ACCOUNT}", token=TOKEN),
}


@pytest.mark.parametrize("lane", LANES)
async def test_what_a_hostile_client_writes_is_decided_about_or_does_not_reach_the_backend(proxy, backend):
    for attacks, is_alice in ((ANONYMOUS, False), (ALICES, True)):
        for name, wire in attacks.items():
            before = len(backend.requests)
            answer = await said(proxy, wire)
            faults = [faults_of(seen, is_alice=is_alice) for seen in backend.requests[before:]]
            assert not any(faults), (name, faults, [seen.head for seen in backend.requests[before:]], answer)
            assert not backend.faults, (name, backend.faults)


WHILE_IT_IS_ASKED = {
    "a request": request("GET", GUARDED, token=TOKEN),
    "an upload": request("PUT", GUARDED, token=TOKEN, body=b"x" * 100_000),
    "a WebSocket": request("GET", ACCOUNT, *WEBSOCKET, token=TOKEN),
}


async def test_nothing_passes_that_is_being_decided_about_when_the_gateway_goes(proxy, backend, gateway, provider):
    provider.delay_s = 30.0
    asked = [asyncio.create_task(said(proxy, wire)) for wire in WHILE_IT_IS_ASKED.values()]
    await provider.wait_for_calls()
    await gateway.stop(timeout_s=0.1)
    assert [status_of(answer) // 100 for answer in await asyncio.gather(*asked)] == [5] * len(asked)
    assert [status_of(await said(proxy, wire)) // 100 for wire in WHILE_IT_IS_ASKED.values()] == [5] * len(asked)
    assert backend.requests == []


BROKEN = {
    "ends at once": (CLOSE,),
    "resets": (RESET,),
    "ends within its head": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-User-Id: alice\r\n", CLOSE),
    "ends within its status": (b"HTTP/1.1 20", CLOSE),
    "says something else": (b"220 mail.example ESMTP\r\n\r\n", CLOSE),
    "says go on, and no more": (b"HTTP/1.1 100 Continue\r\n\r\n", CLOSE),
    "fails without a body": (ok(status="503 Service Unavailable"),),
    "fails within its body": (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 100\r\n\r\nhalf", CLOSE),
}


@pytest.mark.parametrize("kind", PROXIES)
async def test_an_answer_that_is_none_of_the_gateway_s_lets_nothing_pass(kind, backend, tmp_path):
    broken = Backend()
    await broken.start()
    broken.default = script(CLOSE)
    try:
        async with started(kind, tmp_path, broken.port, backend.port) as port:
            for name, steps in BROKEN.items():
                broken.default = script(*steps)
                answers = await asyncio.gather(*(said(port, wire) for wire in WHILE_IT_IS_ASKED.values()))
                assert backend.requests == [], name
                assert {status_of(answer) // 100 for answer in answers} <= {5}, (name, answers)
            broken.default = script(HANG)
            waiting = [asyncio.create_task(said(port, wire)) for wire in WHILE_IT_IS_ASKED.values()]
            await asyncio.wait(waiting, timeout=1.0)
            assert backend.requests == []
            await broken.stop()
            await asyncio.gather(*waiting)
            assert backend.requests == []
    finally:
        await broken.stop()


# A proxy that expanded what a user chose for a name, or ended a line at it, would make another identity of it.
NAMES = (
    *(
        'a"b',
        "a'b",
        "a\\b",
        "a,b",
        "a;b",
        "{http.request.host}",
        "{http.reverse_proxy.header.X-Roles}",
        "$host",
        "${host}",
    ),
    *(
        "%{HTTP_HOST}e",
        "%{reqenv:X_ROLES}",
        "%[src]",
        "%START_TIME%",
        "%REQ(host)%",
        "{{env}}",
        "\u00e9",
        "\u4e2d",
        "\u2028",
    ),
    *("%0d%0aX-Roles: root", "(null)", "-", "=?utf-8?q?a?=", "a: b", "x" * 4000),
)
UNTOLD = ("al\r\nX-Roles: root", "al\nX-Roles: root", "al\0ice", "al\x7fice", " alice ", "\x85x")


async def test_an_identity_arrives_as_it_is_or_not_at_all(proxy, backend, provider):
    for name in (*NAMES, *UNTOLD):
        provider.answers[f"of-{name!r}"[:20].encode().hex()] = {**ALICE, "sub": name}
    for name in (*NAMES, *UNTOLD):
        before = len(backend.requests)
        answer = await said(proxy, request("GET", ACCOUNT, token=f"of-{name!r}"[:20].encode().hex()))
        seen = [(one.values("X-User-Id"), one.values("X-Roles")) for one in backend.requests[before:]]
        wanted = [] if name in UNTOLD else [([name.encode().decode("latin-1")], ["clerk"])]
        assert (status_of(answer), seen) == (403 if name in UNTOLD else 200, wanted), name
