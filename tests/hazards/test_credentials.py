"""Credentials: one bearer token in one header, asked about exactly as it came, and shown nowhere."""

import base64
import json
from urllib.parse import quote_plus

import aiohttp
import pytest
import pytest_asyncio
from support.backend import Backend
from support.lanes import lane_keys
from support.redis_server import RedisServer, running
from support.running_gateway import ADMIN_TOKEN, CLIENT_SECRET, RunningGateway, configuration, provider_settings
from support.scripted_provider import Fault, Raw, Reply, ScriptedProvider
from support.transcript import TOKEN, Case, Gets, Run, Stage, head, in_runs, played
from support.wire import request

pytestmark = pytest.mark.asyncio(loop_scope="module")

ONCE = Run(has_token=False, is_split=False, is_second=False)  # the token is in the bytes
LONG = b"a" * (32 * 2**10 + 1)
API, ANY = b"GET /api/x", b"GET /any/x"


@pytest.fixture(scope="module")
def server_keys():
    """Room for tokens that are too long, so that it is the token that is refused."""
    return {"max_header_bytes": "128KiB", "header_timeout": "5s"}


def asked(stage, token: str) -> None:
    stage.provider.answers[token] = {"active": True, "sub": "alice"}


# The header.


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR", "Bearer ", "Bearer    "])
@pytest.mark.parametrize("path", ["/api/x", "/any/x"])
async def test_the_scheme_is_read_in_any_case(stage, path, scheme):
    token = f"{scheme.strip()}-{len(scheme)}-{path[1:4]}"
    asked(stage, token)
    seen = await stage.talk(head(f"GET {path}".encode(), f"Authorization: {scheme} {token}".encode()), ONCE)
    assert seen.answers[0].status == 200
    assert seen.provider_tokens == [token]
    (sent,) = seen.requests
    assert sent.value("X-User-Id") == "alice"
    assert sent.value("Authorization") is None


MALFORMED = {
    "two tokens": (b"Authorization: Bearer a", b"Authorization: Bearer b"),
    "two alike": (b"Authorization: Bearer a", b"Authorization: Bearer a"),
    "two in two cases": (b"Authorization: Bearer a", b"AUTHORIZATION: Bearer b"),
    "two schemes": (b"Authorization: Basic YTpi", b"Authorization: Bearer b"),
    "a token and nothing": (b"Authorization: Bearer a", b"Authorization:"),
    "a comma-joined pair": (b"Authorization: Bearer a, Bearer b",),
    "a tight pair": (b"Authorization: Bearer a,Bearer b",),
    "two words": (b"Authorization: Bearer a b",),
    "a parameter": (b'Authorization: Bearer token="a"',),
    "quotes": (b'Authorization: Bearer "a"',),
    "empty": (b"Authorization: Bearer",),
    "empty with a blank": (b"Authorization: Bearer ",),
    "empty with blanks": (b"Authorization: Bearer    ",),
    "nothing at all": (b"Authorization:",),
    "pads alone": (b"Authorization: Bearer ==",),
    "pads within": (b"Authorization: Bearer a=b",),
    "pads before": (b"Authorization: Bearer =a",),
    "percent": (b"Authorization: Bearer a%41",),
    "ampersand": (b"Authorization: Bearer a&active=true",),
    "hash": (b"Authorization: Bearer a#b",),
    "semicolon": (b"Authorization: Bearer a;b",),
    "colon": (b"Authorization: Bearer a:b",),
    "backslash": (b"Authorization: Bearer a\\b",),
    "bracket": (b"Authorization: Bearer <a>",),
    "asterisk": (b"Authorization: Bearer *",),
    "star for all": (b"Authorization: Bearer a*",),
    "non-ASCII": (b"Authorization: Bearer \xc3\xa9",),
    "latin-1": (b"Authorization: Bearer a\xe9",),
    "full width": ("Authorization: Bearer \uff41".encode(),),
    "no-break space": (b"Authorization: Bearer\xa0a",),
    "tab": (b"Authorization: Bearer\ta",),
    "tab within": (b"Authorization: Bearer a\tb",),
    "very long": (b"Authorization: Bearer " + LONG,),
    "very long pads": (b"Authorization: Bearer a" + b"=" * len(LONG),),
}


@played(
    *(
        Case(
            f"{name} {kind}",
            head(start, *lines),
            Gets((frozenset({400, 401}),)),
            is_main=name == "two tokens",
            piece_bytes=max(1, sum(map(len, lines)) // 50),
        )
        for name, lines in MALFORMED.items()
        for kind, start in (("where one is required", API), ("where none is", ANY))
    )
)
async def test_what_is_not_one_token_is_refused_without_a_call(stage, case, run):
    """In a run with a token its own header comes on top, which makes two of them."""
    await stage.play(case, run)


BROKEN = {
    "NUL": b"Authorization: Bearer a\0b",
    "CR": b"Authorization: Bearer a\rb",
    "LF": b"Authorization: Bearer a\nb",
    "escape": b"Authorization: Bearer a\x1bb",
    "delete": b"Authorization: Bearer a\x7fb",
    "vertical tab": b"Authorization: Bearer\x0ba",
    "folded": b"Authorization: Bearer\r\n a",
    "blank before the colon": b"Authorization : Bearer a",
}


@played(
    *(
        Case(name, head(API, line).replace(TOKEN, b""), Gets((frozenset({400}),), is_closed=True))
        for name, line in BROKEN.items()
    )
)
async def test_a_token_in_a_broken_line_is_refused_without_a_call(stage, case, run):
    """No other header stands beside it: that alone would be a reason."""
    await stage.play(case, run)


NO_TOKENS = {
    "Basic": b"Authorization: Basic YTpi",
    "Negotiate": b"Authorization: Negotiate YTpi",
    "MAC": b'Authorization: MAC id="x"',
    "Token": b"Authorization: Token abc",
    "glued": b"Authorization: Bearerabc",
    "dashed": b"Authorization: Bearer-abc",
    "the other header": b"Proxy-Authorization: Bearer abc",
    "an underscore": b"X_Authorization: Bearer abc",
    "a cookie": b"Cookie: access_token=abc; Authorization=Bearer abc",
    "X-Forwarded-Access-Token": b"X-Forwarded-Access-Token: abc",
    "X-Access-Token": b"X-Access-Token: abc",
    "a subprotocol": b"Sec-WebSocket-Protocol: bearer, abc",
}


@in_runs("name", NO_TOKENS)
async def test_another_scheme_or_another_header_is_no_token(stage, name, run):
    seen = await stage.talk(head(API, NO_TOKENS[name]).replace(b"<authorization>\r\n", b""), run)
    answer = seen.answers[0]
    assert (answer.status, answer.code) == (401, "token_missing")
    assert answer.value("WWW-Authenticate").startswith("Bearer")
    assert "error=" not in answer.value("WWW-Authenticate")
    assert (seen.requests, seen.provider_tokens) == ([], [])


@in_runs("scheme", ["DPoP", "dpop"])
async def test_a_token_of_the_scheme_dpop_is_nothing_without_its_proof(stage, scheme, run):
    """RFC 9449 §7.1. Nobody is asked about it."""
    seen = await stage.talk(
        head(API, f"Authorization: {scheme} abc".encode()).replace(b"<authorization>\r\n", b""), run
    )
    answer = seen.answers[0]
    assert (answer.status, answer.code) == (401, "invalid_dpop_proof")
    assert [value.partition(" ")[0] for value in answer.values("WWW-Authenticate")] == ["Bearer", "DPoP"]
    assert (seen.requests, seen.provider_tokens) == ([], [])


FORM = b"Content-Type: application/x-www-form-urlencoded"
ELSEWHERE = {
    "query": head(b"GET /api/x?access_token=abc"),
    "query, other names": head(b"GET /api/x?token=abc&bearer=abc&Authorization=Bearer%20abc"),
    "query of a POST": head(b"POST /api/x?access_token=abc", b"Content-Length: 0"),
    "form": head(b"POST /api/x", FORM, b"Content-Length: 16") + b"access_token=abc",
    "chunked form": head(b"POST /api/x", FORM, b"Transfer-Encoding: chunked") + b"10\r\naccess_token=abc\r\n0\r\n\r\n",
    "trailer": head(b"POST /api/x", b"Transfer-Encoding: chunked") + b"0\r\nAuthorization: Bearer abc\r\n\r\n",
    "target's userinfo": head(b"GET http://abc@gw.example/api/x"),
    "path parameter": head(b"GET /api/x;access_token=abc"),
}


@in_runs("place", ELSEWHERE)
async def test_a_token_in_the_query_or_the_body_is_none(stage, place, run):
    """RFC 9700 §4.3.2: it would be in logs and histories."""
    asked(stage, "abc")
    seen = await stage.talk(ELSEWHERE[place].replace(b"<authorization>\r\n", b""), run)
    assert seen.answers[0].status == (400 if place in {"target's userinfo", "path parameter"} else 401)
    assert (seen.requests, seen.provider_tokens) == ([], [])


# The question that is asked.


@pytest.mark.parametrize("token", ["a+b/c=", "a+/==", "+", "/", "a~b._-", "a====", "a" * 4000 + "+/="])
async def test_a_token_is_escaped_exactly_on_its_way_to_the_provider(stage, token):
    asked(stage, token)
    seen = await stage.talk(head(API, f"Authorization: Bearer {token}".encode()), ONCE)
    assert seen.answers[0].status == 200
    call = stage.provider.calls[-1]
    pairs = call.body.split(b"&")
    assert [pair for pair in pairs if pair.startswith(b"token=")] == [b"token=" + quote_plus(token, safe="~").encode()]
    assert call.form["token"] == token
    assert call.header("Content-Type").partition(";")[0] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize("tokens", [("same", "same="), ("plus+", "plus/"), ("Case", "case"), ("long", "long" * 2)])
async def test_tokens_that_differ_by_a_character_are_two(stage, tokens):
    for token in tokens:
        asked(stage, token)
        stage.provider.answers[token]["sub"] = f"owner-of-{token}"
    for token in (*tokens, *tokens):
        seen = await stage.talk(head(API, f"Authorization: Bearer {token}".encode()), ONCE)
        assert seen.requests[0].value("X-User-Id") == f"owner-of-{token}"
    assert [call.token for call in stage.provider.calls[-2:]] == list(tokens)


# Nowhere in clear.

CACHE_SECRET = "secret-of-the-cache-which-is-long-enough"
TOKENS = (
    "tok3n-active-Zm9v",
    "tok3n-inactive-YmFy",
    "tok3n-unclear-YmF6",
    "tok3n-keyed/with+signs=",
    "tok3n-refused-cXV4",
)


@pytest.fixture(scope="module")
def redis_server():
    server = RedisServer()
    with running(server):
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage_with_redis(redis_server, lane):
    """All that could write something down: a debug log, a metric, a cache in Redis."""
    backend, provider = Backend(), ScriptedProvider()  # an echo would be a leak of its own
    await backend.start()
    await provider.start()
    identity = {"headers": {"X-User-Id": "sub"}}
    routes = [
        {"name": "open", "match": {"path": "/open/**"}, "backend": backend.url, "auth": "none"},
        {"name": "api", "match": {"path": "/api/**"}, "backend": backend.url, "identity": identity},
        {"name": "scoped", "match": {"path": "/scoped/**"}, "backend": backend.url, "auth": {"scopes": ["x"]}},
        {"name": "dead", "match": {"path": "/dead/**"}, "backend": "http://127.0.0.1:1", "auth": "required"},
    ]
    text = configuration(
        providers={"p": provider_settings(provider)},
        routes=routes,
        cache={"redis": redis_server.url, "secret": CACHE_SECRET},
        log={"level": "debug"},
        server=lane_keys(lane),
    )
    gateway = RunningGateway(text)
    await gateway.start()
    yield Stage(gateway, backend, provider)
    await gateway.stop()
    await provider.stop()
    await backend.stop()


def traces_of(secret: str) -> list[bytes]:
    """The secret as it is, and as encodings would show it."""
    plain = secret.encode()
    encoded = [base64.b64encode(plain + b"\0" * shift) for shift in range(3)]
    return [plain, quote_plus(secret).encode(), plain.hex().encode(), *(one[: len(plain)] for one in encoded)]


async def test_no_secret_is_written_down_anywhere(stage_with_redis, redis_server):
    """Logs, metrics, answers, keys and values of the cache; also where calls fail and backends are dead."""
    stage = stage_with_redis
    gateway, provider = stage.gateway, stage.provider
    provider.answers |= {
        TOKENS[0]: {"active": True, "sub": "alice", "username": TOKENS[0][:5]},
        TOKENS[1]: {"active": False},
        TOKENS[2]: Reply(500, {"error": f"{TOKENS[2]} {CLIENT_SECRET}"}),
        TOKENS[3]: {"active": True, "sub": "bob"},
        TOKENS[4]: {"active": True, "sub": "carol", "exp": f"nonsense {TOKENS[4]}"},
    }
    answers = []
    for path in ("/api/x", "/scoped/x", "/dead/x", "/api/../x", "/nowhere", "/api/x?access_token=" + TOKENS[0]):
        for token in TOKENS:
            answers.append(await gateway.ask(request("GET", path, token=token)))
            answers.append(await gateway.ask(request("GET", path, f"X-Forwarded-For: {token}", token=token)))
    for fault in (Fault.RESET, Fault.HTML, Fault.NOT_HTTP, Fault.BAD_CHUNKS):
        provider.fault = fault
        answers.append(await gateway.ask(request("GET", "/api/x", token=f"{TOKENS[2]}{fault.name}")))
    provider.fault = None
    provider.default = Raw(b"HTTP/1.1 200 " + TOKENS[2].encode() + b"\r\nContent-Length: 1\r\n\r\n[")
    answers.append(await gateway.ask(request("GET", "/api/x", token=TOKENS[2] + "raw")))
    answers.append(await gateway.ask(request("GET", "/api/x", f"Authorization: Bearer {TOKENS[0]}", token=TOKENS[0])))
    answers.append(await gateway.ask(request("GET", "/api/x", f"Authorization : Bearer {TOKENS[0]}")))

    shown = [*gateway.lines.raw, *(one.head + one.body for one in answers)]
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    async with aiohttp.ClientSession(headers=headers) as admin:
        for method, path, document in (
            ("GET", "/metrics", None),
            ("GET", "/routes", None),
            ("GET", "/health/ready", None),
            ("POST", "/explain", {"method": "GET", "url": "http://gw.example/api/x", "token": TOKENS[0]}),
            ("POST", "/explain", {"method": "GET", "url": "http://gw.example/api/x", "token": TOKENS[2] + "admin"}),
        ):
            async with admin.request(method, gateway.admin_url + path, json=document) as answer:
                shown.append(await answer.read())
    with redis_server.client() as client:
        keys = [key for key in client.keys("*") if isinstance(key, bytes)]
        assert keys, "the cache was not used"
        shown += [*keys, *(client.dump(key) or b"" for key in keys)]

    secrets = [*TOKENS, CLIENT_SECRET, CACHE_SECRET, ADMIN_TOKEN]
    seen_by_backend = [one.head for one in stage.backend.requests if "access_token" not in one.target]
    leaks = [(secret, text[:300]) for secret in secrets for text in [*shown, *seen_by_backend]
             for trace in traces_of(secret) if trace in text]  # fmt: skip
    assert leaks == []


async def test_the_search_for_secrets_would_find_one():
    line = json.dumps({"event": "x", "token": base64.b64encode(TOKENS[0].encode()).decode()}).encode()
    assert any(trace in line for trace in traces_of(TOKENS[0]))


async def test_what_is_kept_of_a_secret_does_not_show_in_its_repr(stage_with_redis):
    config = stage_with_redis.gateway.service.config
    assert not any(secret in repr(config) for secret in (CLIENT_SECRET, CACHE_SECRET, ADMIN_TOKEN))
