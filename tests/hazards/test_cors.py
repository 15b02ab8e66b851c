"""CORS: a preflight asks nobody, and no origin but the named ones is ever told yes."""

from pathlib import Path

import pytest
from support.backend import ok, script
from support.running_gateway import configuration
from support.transcript import Case, Gets, Run, forwarded, head, in_runs, passed, played, refused

from gateway.config.load import load_text
from gateway.config.problems import ConfigError

pytestmark = pytest.mark.asyncio(loop_scope="module")

APP = b"Origin: https://app.example.com"
ASKS_GET = b"Access-Control-Request-Method: GET"
PREFLIGHT = head(b"OPTIONS /cors/x", APP, ASKS_GET)
ONCE = Run(has_token=False, is_split=False, is_second=False)
FOR_CORS = "access-control-"


@pytest.fixture(scope="module")
def routes(backend):
    """`cors` for one site with credentials, `star` for all without; `plain` knows nothing of origins."""

    def route(name, auth="required", **keys):
        identity = {"headers": {"X-User-Id": "sub"}}
        match = {"path": f"/{name}/**"}
        return {"name": name, "match": match, "backend": backend.url, "auth": auth, "identity": identity, **keys}

    sites = ["https://app.example.com", "http://localhost:3000"]
    named = {"allow_origins": sites, "allow_headers": ["Authorization"], "allow_credentials": True, "max_age": "10m"}
    return [
        route("open", "none"),
        route("cors", cors=named),
        route("star", cors={"allow_origins": ["*"], "allow_headers": ["*"]}),
        route("plain"),
    ]


def cors_fields(answer) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.fields if name.lower().startswith(FOR_CORS)}


# Preflights.


@played(
    Case("allowed", PREFLIGHT, Gets((frozenset({204}),), is_closed=False), methods=("OPTIONS",), is_main=True),
    Case("for all", head(b"OPTIONS /star/x", b"Origin: https://any.example", ASKS_GET), Gets((frozenset({204}),)),
         methods=("OPTIONS",)),
    Case("with headers", head(b"OPTIONS /cors/x", APP, ASKS_GET, b"Access-Control-Request-Headers: authorization"),
         Gets((frozenset({204}),)), methods=("OPTIONS",)),
    Case("with a body", head(b"OPTIONS /cors/x", APP, ASKS_GET, b"Content-Length: 5") + b"hello",
         Gets((frozenset({204}),)), methods=("OPTIONS",)),
    Case("another origin", head(b"OPTIONS /cors/x", b"Origin: https://evil.example", ASKS_GET),
         Gets((frozenset({403}),)), methods=("OPTIONS",)),
    Case("another method", head(b"OPTIONS /cors/x", APP, b"Access-Control-Request-Method: DELETE"),
         Gets((frozenset({403}),)), methods=("OPTIONS",)),
    Case("another header", head(b"OPTIONS /cors/x", APP, ASKS_GET, b"Access-Control-Request-Headers: x-evil"),
         Gets((frozenset({403}),)), methods=("OPTIONS",)),
    refused("bad framing", head(b"OPTIONS /cors/x", APP, ASKS_GET, b"Content-Length: 5", b"Content-Length: 5")
            + b"hello", 400),
    refused("a bad path", head(b"OPTIONS /cors/../x", APP, ASKS_GET), 400),
)  # fmt: skip
async def test_a_preflight_needs_no_token_and_asks_nobody(stage, case, run):
    """Also where it brings a token: browsers send none, so there is nothing to be learnt from it."""
    await stage.play(case, run)


@played(
    passed("plain", head(b"OPTIONS /cors/x"), forwarded(b"OPTIONS /cors/x"), main=True),
    passed("with an origin alone", head(b"OPTIONS /cors/x", APP), forwarded(b"OPTIONS /cors/x", APP)),
    passed("with a method alone", head(b"OPTIONS /cors/x", ASKS_GET), forwarded(b"OPTIONS /cors/x", ASKS_GET)),
    passed("without cors", head(b"OPTIONS /plain/x", APP, ASKS_GET), forwarded(b"OPTIONS /plain/x", APP, ASKS_GET)),
    passed("two origins", head(b"OPTIONS /cors/x", APP, APP, ASKS_GET),
           forwarded(b"OPTIONS /cors/x", APP, APP, ASKS_GET)),
    passed("not OPTIONS", head(b"GET /cors/x", APP, ASKS_GET), forwarded(b"GET /cors/x", APP, ASKS_GET)),
    passed("options in a header", head(b"GET /cors/x", APP, ASKS_GET, b"X-HTTP-Method-Override: OPTIONS"),
           forwarded(b"GET /cors/x", APP, ASKS_GET, b"X-HTTP-Method-Override: OPTIONS")),
)  # fmt: skip
async def test_what_is_no_preflight_needs_a_token(stage, case, run):
    if run.has_token:
        await stage.play(case, run)
        return
    seen = await stage.talk(case.sends, run, methods=case.methods)
    assert (seen.answers[0].status, seen.requests, seen.provider_tokens) == (401, [], [])


async def test_a_preflight_says_what_is_allowed(stage):
    seen = await stage.talk(PREFLIGHT, ONCE, methods=["OPTIONS"])
    assert (
        cors_fields(seen.answers[0])
        == {
            "access-control-allow-origin": "https://app.example.com",
            "access-control-allow-credentials": "true",
            "access-control-allow-methods": "GET, HEAD, POST",
            "access-control-allow-headers": "AUTHORIZATION",
            "access-control-max-age": "600",
        }
        or seen.answers[0].value("Access-Control-Allow-Headers").lower() == "authorization"
    )


# Origins.

LOOK_ALIKES = [
    "null",
    "NULL",
    "*",
    "",
    "https://app.example.com.evil.example",
    "https://evil-app.example.com",
    "https://evilapp.example.com",
    "https://app.example.com:443",
    "https://app.example.com:8443",
    "https://app.example.com/",
    "https://app.example.com/x",
    "https://app.example.com.",
    "https://app.example.com@evil.example",
    "https://app.example.com%2eevil.example",
    "https://app.example.com, https://evil.example",
    "https://app.example.com https://evil.example",
    "https://app.example.com;",
    "https://app.example.com?",
    "https://app.example.com#",
    "https://app.example.com\\.evil.example",
    "https://app.example.comevil",
    "https://appxexample.com",
    "https://app.example.co",
    "https://sub.app.example.com",
    "https://user@app.example.com",
    "http://app.example.com",
    "HTTPS://APP.EXAMPLE.COM",
    "https://App.example.com",
    "app.example.com",
    "//app.example.com",
    "file://",
    "chrome-extension://app.example.com",
    "http://localhost",
    "http://localhost:30000",
    "http://localhost:3000.evil.example",
    "http://127.0.0.1:3000",
    "https://xn--pp-7ka.example.com",
]


@pytest.mark.parametrize("start", [b"OPTIONS /cors/x", b"GET /cors/x"])
@in_runs("origin", LOOK_ALIKES)
async def test_look_alikes_and_null_get_nothing(stage, origin, run, start):
    wire = head(start, f"Origin: {origin}".encode(), ASKS_GET)
    seen = await stage.talk(wire, run, methods=[start.split()[0].decode()])
    answer = seen.answers[0]
    assert cors_fields(answer) == {}
    assert "Origin" in answer.value("Vary")
    assert answer.status == (403 if start.startswith(b"OPTIONS") else 200 if run.has_token else 401)


@pytest.mark.parametrize("start", [b"OPTIONS /star/x", b"GET /star/x"])
@in_runs("origin", ["https://any.example", "null", "https://evil.example", "file://"])
async def test_an_open_resource_says_star_and_never_credentials(stage, origin, run, start):
    wire = head(start, f"Origin: {origin}".encode(), ASKS_GET, b"Cookie: a=b")
    seen = await stage.talk(wire, run, methods=[start.split()[0].decode()])
    fields = cors_fields(seen.answers[0])
    assert fields["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in fields


async def test_credentials_for_everybody_are_refused_by_the_configuration():
    cors = {"allow_origins": ["*"], "allow_credentials": True}
    for origins in (["*"], ["https://app.example.com", "*"]):
        route = {"name": "r", "match": {"path": "/**"}, "backend": "http://b", "auth": "none",
                 "cors": {**cors, "allow_origins": origins}}  # fmt: skip
        with pytest.raises(ConfigError, match="allow_credentials"):
            load_text(configuration(providers={}, routes=[route]), "gateway.yaml", environ={}, directory=Path("/"))


@in_runs("path", ["/cors/x", "/star/x"])
async def test_answers_vary_by_origin_whatever_they_are(stage, path, run):
    for lines in ((), (APP,), (b"Origin: https://evil.example",), (b"Origin: null",)):
        seen = await stage.talk(head(f"GET {path}".encode(), *lines), run)
        assert seen.answers[0].status == (200 if run.has_token else 401)
        assert "Origin" in seen.answers[0].value("Vary")


async def test_what_the_backend_says_of_origins_is_replaced(stage):
    fields = (
        "Access-Control-Allow-Origin: https://evil.example",
        "access-control-allow-credentials: true",
        "Access-Control-Expose-Headers: *",
    )
    for origin, allowed in ((APP, "https://app.example.com"), (b"Origin: https://evil.example", None)):
        stage.backend.answers.append(script(ok(b"x", *fields)))
        seen = await stage.talk(head(b"GET /cors/x", origin), Run(has_token=True, is_split=False, is_second=False))
        answer = seen.answers[0]
        assert answer.value("Access-Control-Allow-Origin") == allowed
        assert answer.value("Access-Control-Allow-Credentials") == ("true" if allowed else None)
        assert "Access-Control-Expose-Headers" not in [name for name, _ in answer.fields]


async def test_refusals_are_readable_by_the_named_site_alone(stage):
    for origin, allowed in ((APP, "https://app.example.com"), (b"Origin: https://evil.example", None)):
        seen = await stage.talk(head(b"GET /cors/x", origin), ONCE)
        assert seen.answers[0].status == 401
        assert seen.answers[0].value("Access-Control-Allow-Origin") == allowed
