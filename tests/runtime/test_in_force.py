"""Each key of a configuration is in force after a reload that changes it, or the reload is refused by that key's name.

For every key there is another value. A process that took it over by a reload must be made of the same values as one
that was started with it: what is left of the value before is a key that was applied by half.
"""

import asyncio
import copy
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trustme
from support.in_force import differences, values
from support.other_values import OTHER_VALUES, plain_path
from support.running_gateway import ADMIN_TOKEN, RunningGateway

from gateway.config.identity_key import new_private_pem
from gateway.config.keys import keys_below
from gateway.config.model import Config

FIXED = {"server.listen", "server.workers", "server.proxy_protocol", "admin.listen", "decisions.listen"}


def document(folder, key: str = "") -> dict:
    """A file with every kind of part. Redis is named only where its keys are changed: to let go of it takes time."""
    p = {
        "issuer": "http://127.0.0.1:1/",
        "introspection_endpoint": "http://127.0.0.1:1/introspect",
        "client_id": "gw",
        "client_secret": "secret-of-the-client",
        "breaker": {},
        "tls": client_tls(folder),
        "events": {"issuer": "http://127.0.0.1:1/", "jwks_uri": "http://127.0.0.1:1/keys", "audience": ["gw"]},
    }
    k = {"introspection_endpoint": p["introspection_endpoint"], "client_id": "gw", "client_auth": "none"}
    return {
        "server": {
            "listen": "127.0.0.1:0",
            "tls": {name: str(folder / f"{file}.pem") for name, file in FILES.items()},
            "max_connections": 100,
            "unknown_tokens": {},
        },
        "admin": {"listen": "127.0.0.1:0", "token": ADMIN_TOKEN, "cors": {"allow_origins": ["https://a.example"]}},
        "decisions": {"listen": "127.0.0.1:0"},
        "providers": {"p": p, "q": k},
        "cache": {"max_entries": 1000, **(REDIS if key.startswith("cache.") else {})},
        "events": {},
        "telemetry": {"otlp": "http://127.0.0.1:1"},
        "limits": {"per-user": {"rate": "100/1m", "burst": 20}},
        "signing": {
            "key_file": str(folder / "signing.pem"),
            "previous_key_files": [str(folder / "other-signing.pem")],
            "issuer": "https://gateway.example",
            "path": "/.gateway/jwks.json",
        },
        "log": {"level": "error"},
        "routes": [
            {
                "name": "first",
                "match": {"host": "a.example", "path": "/t/{t}/orders/**", "methods": ["GET"]},
                "backend": {"url": "https://127.0.0.1:1", "tls": client_tls(folder)},
                "health": {"path": "/health"},
                "outliers": {},
                "auth": {
                    "mode": "required",
                    "provider": "p",
                    "max_age": "30s",
                    "stale_if_error": "5m",
                    "permissions": [{"resource": "order/{t}"}],
                },
                "resource": {"identifier": "https://a.example/mcp"},
                "identity": {"headers": {"X-User": "sub"}, "token": {"audience": "first"}},
                "request_headers": {"set": {"X-Env": "a"}},
                "response_headers": {"set": {"X-Env": "a"}},
                "cors": {"allow_origins": ["https://a.example"]},
            },
            {
                "name": "second",
                "match": {"path": "/v1/**"},
                "backend": "http://127.0.0.1:1",
                "rewrite": "/v2/{**}",
                "auth": "none",
            },
            {
                "name": "third",
                "match": {"path": "/v3/**"},
                "backend": "http://127.0.0.1:1",
                "auth": {"provider": "p"},
                "authorization": {"exchange": {"audience": ["orders"]}},
            },
            {
                "name": "fourth",
                "match": {"path": "/v4/**"},
                "backend": "http://127.0.0.1:1",
                "auth": "none",
                "authorization": {"client_credentials": {"provider": "p"}},
            },
        ],
    }


# What tells how a process came to be, and steers nothing: the text it was started with, and what it has counted.
OF_THE_PAST = (
    "._serving._source.",
    "._observation._",
    "._watch._directories",  # found by a task, a moment later
    "._watch._listening",
    "._serving._worker._pools._looking_up",
    "._serving._worker._pools._addresses",
)
NO_FILES = (".server_name", ".client_certificate")
REDIS = {"redis": "redis://127.0.0.1:1/0", "secret": "secret-of-the-cache-0123456789"}
FILES = {"certificate": "cert", "key": "key", "client_ca": "ca"}


def client_tls(folder) -> dict[str, str]:
    return {name: str(folder / f"{name.replace('certificate', 'cert')}.pem") for name in ("ca", "certificate", "key")}


# Changed together, since one without the other is no good file.
PROXIES = {"server.trusted_proxies": ["10.0.0.0/8"]}
TOGETHER = {
    "server.client_certificate_header.name": {"server.client_certificate_header.form": "pem_escaped", **PROXIES},
    "server.client_certificate_header.form": {"server.client_certificate_header.name": "X-Client-Cert", **PROXIES},
    "server.dpop_nonce": {"cache.secret": REDIS["secret"]},
    "server.tls.certificate": {"server.tls.key": "other-key.pem"},
    "server.tls.key": {"server.tls.certificate": "other-cert.pem"},
    "routes.0.backend.tls.certificate": {"routes.0.backend.tls.key": "other-key.pem"},
    "routes.0.backend.tls.key": {"routes.0.backend.tls.certificate": "other-cert.pem"},
    "providers.p.tls.certificate": {"providers.p.tls.key": "other-key.pem"},
    "providers.p.tls.key": {"providers.p.tls.certificate": "other-cert.pem"},
    "providers.p.realms": {
        "providers.p.issuer": "http://127.0.0.1:1/{realm}",
        "providers.p.introspection_endpoint": "http://127.0.0.1:1/{realm}/introspect",
        "providers.p.events": {"audience": ["gw"]},
    },
    # Otherwise discovery is under way, and when it tries again is no setting.
    "providers.p.validation": {"providers.p.jwks_uri": "http://127.0.0.1:1/keys"},
    "routes.0.on_success": {"routes.0.match.methods": ["POST"]},
}


NAMING_FILES = {key for key in OTHER_VALUES if (".tls." in key and not key.endswith(NO_FILES)) or "key_file" in key}


def _in_folder(value, folder):
    return [str(folder / one) for one in value] if isinstance(value, list) else str(folder / value)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("in-force")
    for prefix in ("", "other-"):
        (folder / f"{prefix}signing.pem").write_text(new_private_pem("ES256"))
        authority = trustme.CA()
        certificate = authority.issue_cert("localhost")
        authority.cert_pem.write_to_path(folder / f"{prefix}ca.pem")
        certificate.private_key_pem.write_to_path(folder / f"{prefix}key.pem")
        (folder / f"{prefix}cert.pem").write_bytes(b"".join(one.bytes() for one in certificate.cert_chain_pems))
    return folder


def changed(before: dict, key: str, folder) -> str:
    after = copy.deepcopy(before)
    for path, value in {key: OTHER_VALUES[key], **TOGETHER.get(key, {})}.items():
        *places, last = path.split(".")
        place = after
        for name in places:
            place = place[int(name)] if name.isdigit() else place.setdefault(name, {})
        place[last] = _in_folder(value, folder) if path in NAMING_FILES else value
    return json.dumps(after)


def test_every_key_has_another_value():
    keys = {key.path for key in keys_below(Config) if key.inner is None}
    # A private key takes the place of a secret, and is a setting of the provider as that is.
    assert {plain_path(place) for place in OTHER_VALUES} == keys - {("providers", "private_key")}


async def started(text: str) -> RunningGateway:
    gateway = RunningGateway(text)
    gateway.expects_errors = True
    await gateway.start()
    return gateway


@pytest.fixture(scope="module")
def by_nature(folder):
    """Where two that were started alike differ."""

    async def compared() -> set[str]:
        places: set[str] = set()
        for text in (json.dumps(document(folder)), json.dumps(document(folder, "cache."))):
            async with both(text, text) as (one, other):
                places |= differences(values(one.service), values(other.service))
        return places

    return asyncio.run(compared())


@pytest.mark.parametrize("key", sorted(set(OTHER_VALUES) - FIXED))
async def test_it_is_in_force(folder, by_nature, key):
    before = document(folder, key)
    after = changed(before, key, folder)
    async with both(json.dumps(before), after) as (reloaded, fresh):
        assert await reloaded.reload(after), fresh.lines.errors
        left = differences(values(reloaded.service), values(fresh.service)) - by_nature
        assert [place for place in sorted(left) if not place.startswith(OF_THE_PAST)] == []


@pytest.mark.parametrize("key", sorted(FIXED))
async def test_it_is_refused_by_its_name(folder, key):
    before = document(folder, key)
    gateway = await started(json.dumps(before))
    try:
        assert not await gateway.reload(changed(before, key, folder))
        assert key in gateway.lines.errors[-1]["message"]
    finally:
        await gateway.stop(0.1)


@asynccontextmanager
async def both(one: str, other: str) -> AsyncIterator[tuple[RunningGateway, RunningGateway]]:
    running = [await started(one), await started(other)]
    try:
        yield running[0], running[1]
    finally:
        await asyncio.gather(*(gateway.stop(0.1) for gateway in running))
