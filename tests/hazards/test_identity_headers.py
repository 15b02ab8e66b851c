"""Identity and forwarding headers: nobody but the gateway says who is calling, and through which proxies."""

import itertools

import pytest
from support.transcript import CALLER, IDENTITY, Run, forwarded, head, in_runs, passed, played

pytestmark = pytest.mark.asyncio(loop_scope="module")

GET = b"GET /any/x"
NAMES = {"X-User-Id": "sub", "X-Tenant": "tenant", "X-Roles": "roles"}


@pytest.fixture(scope="module")
def routes(backend):
    """`tenant` alone makes `X-Tenant` and `X-Roles`, of claims that no token has."""

    def route(name, auth, headers, **keys):
        match = keys.pop("match", {"path": f"/{name}/**"})
        return {
            "name": name,
            "match": match,
            "backend": backend.url,
            "auth": auth,
            "identity": {"headers": headers},
            **keys,
        }

    user = {"X-User-Id": "sub"}
    return [
        route("open", "none", user),
        route("any", "optional", user),
        route("api", "required", user),
        route("tenant", "optional", NAMES),
        route("bare", "none", {}),
        route("keep", "required", user, authorization="keep"),
        route("steered", "none", {}, match={"host": "evil.example", "path": "/steered/**"}),
        route("admin", "required", user, match={"path": "/admin/**"}),
        route("removes", "optional", user, request_headers={"remove": ["Cookie"], "set": {"X-Env": "prod"}}),
    ]


# Every character that a field name may have beside letters and digits (RFC 9110 §5.6.2).
SEPARATORS = "!#$%&'*+-.^_`|~"


def spellings(name: str) -> list[str]:
    """Every way to write the name with other separators, in two cases; and with none, or more than one."""
    words = name.split("-")
    joined = ["".join(itertools.chain.from_iterable(zip(words, [*separators, ""], strict=True)))
              for separators in itertools.product("-_.", repeat=len(words) - 1)]  # fmt: skip
    more = [separator.join(words) for separator in SEPARATORS]
    more += ["".join(words), "--".join(words), f"_{name}", f"{name}~", ".".join(name.replace("-", ""))]
    return [made(one) for one in dict.fromkeys([*joined, *more]) for made in (str, str.lower)]


@in_runs("name", spellings("X-User-Id"))
async def test_a_forged_identity_is_gone_in_every_spelling(stage, name, run):
    lines = [f"{name}: root".encode(), b"X-Between: 1", f"{name}: admin".encode()]
    for path in ("/open/x", "/any/x", "/tenant/x") if run.is_second else ("/bare/x", "/any/x"):
        seen = await stage.talk(head(f"GET {path}".encode(), *lines), run)
        (request,) = seen.requests
        assert b"root" not in request.head
        assert b"admin" not in request.head
        assert request.value("X-Between") == "1"
        knows = run.has_token and path in {"/any/x", "/tenant/x"}
        assert request.value("X-User-Id") == (seen.caller if knows else None)


@in_runs("name", [*spellings("X-Tenant"), *spellings("X-Roles")])
async def test_what_one_route_says_can_be_forged_on_none(stage, name, run):
    """Also where the claim is absent, and on routes that know nothing of the header."""
    for path in ("/open/x", "/tenant/x") if run.is_second else ("/bare/x", "/any/x"):
        seen = await stage.talk(head(f"GET {path}".encode(), f"{name}: root".encode()), run)
        (request,) = seen.requests
        assert b"root" not in request.head


PROTECTED = [
    "Authorization", "Content-Length", "Transfer-Encoding", "Host", "Connection", "Expect", "TE", "Upgrade", "Via",
    "Proxy", "X-Request-Id", "X-Forwarded-For", "X-Forwarded-Prefix", "Forwarded", "X-Original-URL", "X-Env", "Cookie",
]  # fmt: skip


@in_runs("name", [f"{name[0]}{separator}{name[1:]}" for name in PROTECTED for separator in "!_."])
async def test_another_spelling_of_what_has_a_meaning_is_dropped(stage, name, run):
    """It neither frames nor vouches for anything, and reaches no backend. `X-Env` and `Cookie` are the route's."""
    value = "Bearer forged" if name.startswith("A") else "forged, 7"
    seen = await stage.talk(head(b"GET /removes/x", f"{name}: {value}".encode(), b"X-Between: 1"), run)
    (request,) = seen.requests
    assert b"forged" not in request.head
    assert (request.value("X-Between"), request.value("X-Env")) == ("1", "prod")
    assert request.value("X-User-Id") == (seen.caller if run.has_token else None)
    assert seen.provider_tokens == ([seen.token] if run.has_token else [])


@played(
    passed("httpoxy", head(GET, b"Proxy: http://evil.example"), forwarded(GET), main=True),
    passed("in capitals", head(GET, b"PROXY: http://evil.example"), forwarded(GET)),
    passed("names alone", head(GET, b"_: 1", b"---: 2", b"!: 3"), forwarded(GET)),
    passed("honest names", head(GET, b"ETag: 1", b"E-Tag: 2", b"X_Custom: 3", b"X-Userid2: 4", b"Proxied: 5"),
           forwarded(GET, b"ETag: 1", b"E-Tag: 2", b"X_Custom: 3", b"X-Userid2: 4", b"Proxied: 5")),
)  # fmt: skip
async def test_only_protected_names_are_compared(stage, case, run):
    await stage.play(case, run)


@in_runs(
    "name", ["X-User-Id ", "X-User-Id\t", " X-User-Id", "X-User-Id\0", "X-User-Id\x0b", "X-\xb5ser-Id", "X-User-Id\r"]
)
async def test_a_name_that_only_some_take_for_it_is_refused(stage, name, run):
    seen = await stage.talk(head(GET, name.encode("latin-1") + b": root"), run)
    assert seen.is_closed
    assert 400 <= seen.answers[0].status < 500
    assert (seen.requests, seen.provider_tokens) == ([], [])


@played(
    passed("X-User-Id", head(GET, b"Connection: X-User-Id"), forwarded(GET), main=True),
    passed("and keep-alive", head(GET, b"Connection: keep-alive, x-user-id"), forwarded(GET)),
    passed("with underscores", head(GET, b"Connection: x_user_id"), forwarded(GET)),
    passed("on two lines", head(GET, b"Connection: keep-alive", b"Connection: X-User-Id"), forwarded(GET)),
    passed("before it is sent", head(GET, b"Connection: X-User-Id", b"X-User-Id: root"), forwarded(GET)),
    passed("behind it", head(GET, b"X-User-Id: root", b"Connection: X-User-Id"), forwarded(GET)),
    passed("Proxy-Connection", head(GET, b"Proxy-Connection: X-User-Id"), forwarded(GET)),
    passed("Keep-Alive", head(GET, b"Keep-Alive: X-User-Id"), forwarded(GET)),
    passed("what the gateway sets",
           head(GET, b"Connection: Host, Via, X-Request-Id, X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host"),
           forwarded(GET)),
    passed("what the route sets", head(b"GET /removes/x", b"Connection: X-Env", b"X-Env: test"),
           forwarded(b"GET /removes/x", b"X-Env: prod")),
    passed("its own", head(GET, b"Connection: X-Mine, x-other", b"X-Mine: 1", b"X-Other: 2", b"X-Third: 3"),
           forwarded(GET, b"X-Third: 3")),
    passed("odd members", head(GET, b'Connection: ,, "x", X-User-Id;q=1, x user id, *'), forwarded(GET)),
    passed("Content-Length", head(b"POST /any/x", b"Connection: Content-Length", b"Content-Length: 5") + b"hello",
           forwarded(b"POST /any/x", b"Content-Length: 5", body=b"hello")),
    passed("Transfer-Encoding", head(b"POST /any/x", b"Connection: Transfer-Encoding", b"Transfer-Encoding: chunked")
           + b"5\r\nhello\r\n0\r\n\r\n",
           forwarded(b"POST /any/x", b"Transfer-Encoding: chunked", body=b"hello")),
    passed("Content-Type", head(GET, b"Connection: Content-Type, Cookie", b"Content-Type: a/b", b"Cookie: c=d"),
           forwarded(GET, b"Content-Type: a/b", b"Cookie: c=d")),
    passed("what decides or describes",
           head(GET, b"Connection: Origin, content_language, tracestate, Baggage, Referer, X-Hop", b"Origin: o",
                b"Content-Language: de", b"Tracestate: a=1", b"Baggage: b=2", b"Referer: r", b"X!Hop: 1"),
           forwarded(GET, b"Origin: o", b"Content-Language: de", b"Tracestate: a=1", b"Baggage: b=2", b"Referer: r")),
)  # fmt: skip
async def test_a_connection_header_takes_nothing_of_ours_away(stage, case, run):
    """Hop-by-hop removal is over before identity is added (CVE-2024-45410, CVE-2022-31813)."""
    await stage.play(case, run)


@pytest.mark.parametrize("nominated", [b"Authorization", b"authorization, close", b"keep-alive, AUTHORIZATION"])
@pytest.mark.parametrize("path", [b"/api/x", b"/keep/x"])
async def test_a_connection_header_changes_nothing_about_authorization(stage, path, nominated):
    wire = head(b"GET " + path, b"Connection: " + nominated)
    seen = await stage.talk(wire, Run(has_token=True, is_split=False, is_second=False))
    (request,) = seen.requests
    assert seen.provider_tokens == [seen.token]
    assert request.value("X-User-Id") == seen.caller
    assert request.value("Authorization") == (f"Bearer {seen.token}" if path == b"/keep/x" else None)
    seen = await stage.talk(wire, Run(has_token=False, is_split=True, is_second=True))
    assert (seen.answers[0].status, seen.requests) == (401, [])


# Forwarded headers of peers that nobody trusts.

FORWARDED = {
    "Forwarded": "for=10.0.0.1;host=evil.example;proto=https;by=evil",
    "X-Forwarded-For": "10.0.0.1",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Port": "444",
    "X-Forwarded-Prefix": "/admin",
    "X-Forwarded-Path": "/admin/x",
    "X-Forwarded-Uri": "/admin/x",
    "X-Forwarded-Method": "DELETE",
    "X-Forwarded-Server": "evil.example",
    "X-Forwarded-Scheme": "https",
    "X-Forwarded-Ssl": "on",
    "X-Forwarded-User": "root",
    "X-Forwarded-Email": "root@evil.example",
    "X-Forwarded-Groups": "admins",
    "X-Forwarded-Preferred-Username": "root",
    "X-Forwarded-Access-Token": "evil",
    "X-Forwarded-Client-Cert": "Subject=root",
    "X-Forwarded-Tls-Client-Cert": "root",
    "X-Forwarded": "for=10.0.0.1",
    "X-Real-IP": "10.0.0.1",
    "X-Client-IP": "10.0.0.1",
    "Client-IP": "10.0.0.1",
    "True-Client-IP": "10.0.0.1",
    "CF-Connecting-IP": "10.0.0.1",
    "Fastly-Client-IP": "10.0.0.1",
    "X-Cluster-Client-IP": "10.0.0.1",
    "X-Originating-IP": "10.0.0.1",
    "X-Remote-IP": "10.0.0.1",
    "X-Remote-Addr": "10.0.0.1",
    "X-Host": "evil.example",
    "X-Scheme": "https",
    "X-Url-Scheme": "https",
    "Front-End-Https": "on",
    "X-Original-URL": "/admin/x",
    "X-Original-Uri": "/admin/x",
    "X-Original-Host": "evil.example",
    "X-Original-Method": "DELETE",
    "X-Rewrite-URL": "/admin/x",
    "X-Http-Host-Override": "evil.example",
    "X-Envoy-Original-Path": "/admin/x",
    "X-Envoy-External-Address": "10.0.0.1",
    "X-Request-Id": "chosen-by-the-client",
}


@played(
    *(
        passed(name, head(GET, f"{name}: {value}".encode()), forwarded(GET), main=name == "X-Forwarded-For")
        for name, value in FORWARDED.items()
    ),
    passed("all, in capitals", head(GET, *(f"{n.upper()}: {v}".encode() for n, v in FORWARDED.items())),
           forwarded(GET)),
    passed("all, with underscores", head(GET, *(f"{n.replace('-', '_')}: {v}".encode() for n, v in FORWARDED.items())),
           forwarded(GET)),
    passed("all, with dots", head(GET, *(f"{n.replace('-', '.')}: {v}".encode() for n, v in FORWARDED.items())),
           forwarded(GET)),
    passed("twice", head(GET, b"X-Forwarded-For: 10.0.0.1", b"x-forwarded-for: 10.0.0.2"), forwarded(GET)),
)  # fmt: skip
async def test_no_backend_reads_what_an_untrusted_peer_says_of_proxies(stage, case, run):
    await stage.play(case, run)


@in_runs("name", list(FORWARDED))
async def test_no_forwarded_header_steers_the_routing(stage, name, run):
    """`/steered` is there for another host alone, and `/admin` for other paths; GET is no DELETE."""
    line = f"{name}: {FORWARDED[name]}".encode()
    seen = await stage.talk(head(b"GET /steered/x", line), run)
    assert (seen.answers[0].status, seen.requests) == (404, [])
    assert not any("evil.example" in value for _, value in seen.answers[0].fields)
    assert "Location" not in seen.answers[0].names


@in_runs(
    "peers", ["10.0.0.1", "127.0.0.1, 127.0.0.1", "::1", "localhost", "unknown", "127.0.0.1:80", "", ",", "' OR 1"]
)
async def test_the_peers_own_address_is_what_counts(stage, peers, run):
    seen = await stage.talk(head(GET, b"X-Forwarded-For: " + peers.encode()), run)
    (request,) = seen.requests
    assert request.value("X-Forwarded-For") == "127.0.0.1"
    assert stage.gateway.lines.requests[-2]["client"] == "127.0.0.1"


@played(
    passed("identity is the token's", head(b"GET /any/" + CALLER, b"X-User-Id: " + CALLER + b"x"),
           forwarded(b"GET /any/" + CALLER), main=True),
    passed("nobody's on an open route", head(b"GET /open/x", b"X-User-Id: root"),
           forwarded(b"GET /open/x", anonymous=True), asks=False),
)  # fmt: skip
async def test_identity_comes_of_the_facts_alone(stage, case, run):
    await stage.play(case, run)


async def test_the_identity_of_a_run_is_never_empty_by_mistake():
    assert IDENTITY in forwarded(GET)
    assert IDENTITY not in forwarded(GET, anonymous=True)
