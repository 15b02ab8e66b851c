"""A trusted proxy is believed in the fields that have a meaning here; in all others its client speaks through it."""

import pytest
from support.transcript import head, in_runs

pytestmark = pytest.mark.asyncio(loop_scope="module")

IDENTITY = {"headers": {"X-User-Id": "sub"}}


@pytest.fixture(scope="module")
def server_keys():
    trusted = {"trusted_proxies": ["127.0.0.0/8", "10.0.0.0/8", "fd00::/8"], "trusted_headers": ["X-Client-Cert"]}
    return {"header_timeout": "5s", **trusted}


@pytest.fixture(scope="module")
def routes(backend):
    return [
        {"name": name, "match": {"path": f"/{name}/**"}, "backend": backend.url, "auth": auth, "identity": IDENTITY}
        for name, auth in (("open", "none"), ("any", "optional"))
    ]


FORGED = {
    "X-Original-URL": "/admin/users",
    "X-Rewrite-URL": "/admin/users",
    "X-Envoy-Original-Path": "/admin/users",
    "X-Forwarded-User": "root",
    "X-Forwarded-Email": "root@evil.example",
    "X-Forwarded-Groups": "admins",
    "X-Forwarded-Access-Token": "evil",
    "X-Forwarded-Uri": "/admin",
    "X-Forwarded-Method": "DELETE",
    "X-Forwarded-Client-Cert": "Subject=root",
    "X-Auth-Request-User": "root",
    "X-Remote-User": "root",
    "Remote-User": "root",
    "X-WebAuth-User": "root",
    "X-Real-IP": "6.6.6.6",
    "True-Client-IP": "6.6.6.6",
    "CF-Connecting-IP": "6.6.6.6",
    "X-Client-IP": "6.6.6.6",
    "X-Host": "evil.example",
    "X-Scheme": "https",
    "X-User-Id": "root",
    "Proxy": "http://evil.example",
}


@in_runs("name", [spelled for name in FORGED for spelled in (name, name.replace("-", "!"), name.replace("-", ""))])
async def test_a_client_does_not_speak_in_its_name(stage, name, run):
    folded = {key.replace("-", ""): value for key, value in FORGED.items()}
    value = folded[name.replace("-", "").replace("!", "")]
    seen = await stage.talk(head(b"GET /any/x", f"{name}: {value}".encode(), b"X-Between: 1"), run)
    (request,) = seen.requests
    assert value.encode() not in request.head
    assert request.value("X-Between") == "1"
    assert request.value("X-User-Id") == (seen.caller if run.has_token else None)


@in_runs("name", ["X-Client-Cert", "x-client-cert"])
async def test_what_is_listed_passes_in_its_own_spelling(stage, name, run):
    lines = [f"{name}: a".encode(), b"X_Client_Cert: b", b"XClientCert: c", b"Connection: X-Client-Cert, keep-alive"]
    seen = await stage.talk(head(b"GET /any/x", *lines), run)
    (request,) = seen.requests
    assert [value for one, value in request.fields if "cert" in one.lower()] == ["a"]


CHAINS = {
    "203.0.113.7": "203.0.113.7",
    "203.0.113.7:50007": "203.0.113.7",
    "6.6.6.6, 203.0.113.7:50007, 10.0.0.9:80": "203.0.113.7, 10.0.0.9",
    "[2001:db8::7]:443": "2001:db8::7",
    "2001:DB8:0::7": "2001:db8::7",
    "6.6.6.6, unknown, [fd00::1]:80": "fd00::1",
    "203.0.113.7, unknown": "",
}


@in_runs("chain", list(CHAINS))
async def test_the_client_is_who_the_proxies_say_in_whatever_form(stage, chain, run):
    lines = [f"X-Forwarded-For: {chain}".encode(), b"Forwarded: for=6.6.6.6;proto=https;host=evil.example"]
    seen = await stage.talk(head(b"GET /any/x", *lines), run)
    (request,) = seen.requests
    assert request.value("X-Forwarded-For") == ", ".join(filter(None, [CHAINS[chain], "127.0.0.1"]))
    assert (request.value("X-Forwarded-Proto"), request.value("Forwarded")) == ("http", None)
    assert b"evil" not in request.head
    client = stage.gateway.lines.requests[-2 if seen.is_closed else -3]["client"]
    assert client == (CHAINS[chain].partition(",")[0] or "127.0.0.1")


@in_runs(
    "value",
    [
        'for="[2001:db8::7]:4711";proto=https;host="shop.example:8443"',
        "for=2001:db8::7;proto=https;host=shop.example:8443",
        'for=6.6.6.6;host=evil.example, For="[2001:db8::7]";Proto=HTTPS;Host="shop.example:8443"',
    ],
)
async def test_forwarded_alone_is_believed_and_told_as_x_forwarded(stage, value, run):
    seen = await stage.talk(head(b"GET /any/x", b"Forwarded: " + value.encode()), run)
    (request,) = seen.requests
    assert request.value("X-Forwarded-For") == "2001:db8::7, 127.0.0.1"
    assert request.value("X-Forwarded-Proto") == "https"
    assert request.value("X-Forwarded-Host") == "shop.example:8443"
    assert request.value("Forwarded") is None
