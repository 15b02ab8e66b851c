"""Each key of a configuration is in force after a reload that changes it, or the reload is refused by that key's name.

For every key there is another value. A process that took it over by a reload must be made of the same values as one
that was started with it: what is left of the value before is a key that was applied by half.
"""

import asyncio
import copy
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import trustme
from support.in_force import differences, values
from support.running_gateway import ADMIN_TOKEN, RunningGateway

from gateway.config.messages import model_of
from gateway.config.model import Config
from gateway.config.model_base import Model

FIXED = {"server.listen", "server.workers", "server.proxy_protocol", "admin.listen"}
# Another value for each key, for the file below; a mapping replaces what is there.
ANOTHER = {
    "server.listen": "127.0.0.2:0",
    "server.workers": 2,
    "server.tls.certificate": "other-cert.pem",
    "server.tls.key": "other-key.pem",
    "server.tls.client_ca": "other-ca.pem",
    "server.trusted_proxies": ["10.0.0.0/8"],
    "server.trusted_headers": ["X-Real-IP"],
    "server.proxy_protocol": True,
    "server.header_timeout": "11s",
    "server.idle_timeout": "76s",
    "server.drain_delay": "1s",
    "server.shutdown_timeout": "31s",
    "server.max_header_bytes": "33KiB",
    "server.max_headers": 101,
    "server.max_body": "11MiB",
    "server.min_body_rate": 241,
    "server.max_connections": 101,
    "server.max_connections_per_network": 7,
    "server.fast_path": False,
    "server.unknown_tokens.rate": 201,
    "server.unknown_tokens.burst": 1001,
    "admin.listen": "127.0.0.2:0",
    "admin.token": "another-token-of-the-admin-listener",
    "admin.cors.allow_origins": ["https://b.example"],
    "providers.p.issuer": "http://127.0.0.1:1/other",
    "providers.p.introspection_endpoint": "http://127.0.0.1:1/other",
    "providers.p.token_endpoint": "http://127.0.0.1:1/other",
    "providers.p.jwks_uri": "http://127.0.0.1:1/other",
    "providers.p.client_id": "other",
    "providers.p.client_secret": "another-secret-of-the-client",
    "providers.p.client_auth": "client_secret_post",
    "providers.p.private_key_id": "other",
    "providers.p.timeout": "3s",
    "providers.p.max_concurrency": 65,
    "providers.p.max_waiting": 1025,
    "providers.p.breaker.failures": 6,
    "providers.p.breaker.failure_rate": 0.6,
    "providers.p.breaker.window": "11s",
    "providers.p.breaker.minimum_calls": 21,
    "providers.p.breaker.interval": "6s",
    "providers.p.events.issuer": "http://127.0.0.1:1/other",
    "providers.p.events.jwks_uri": "http://127.0.0.1:1/other-keys",
    "providers.p.events.audience": ["other"],
    "providers.p.events.authorization": "Bearer another-push-token",
    "providers.p.leeway": "3s",
    "providers.p.require_token_type": True,
    "cache.redis": "redis://127.0.0.1:2/1",
    "cache.secret": "another-secret-of-the-cache-0123456789",
    "cache.ttl": "61s",
    "cache.inactive_ttl": "11s",
    "cache.max_entries": 1001,
    "cache.timeout": "60ms",
    "cache.clock_skew": "3s",
    "cache.refresh_ahead": 0.8,
    "events.prefix": "/.other/events",
    "events.repeat_after": ["2s"],
    "events.from": ["198.51.100.0/24"],
    "log.level": "warning",
    "log.access": False,
    "routes.0.name": "other",
    "routes.0.match.host": "b.example",
    "routes.0.match.path": "/t/{t}/other/**",
    "routes.0.match.methods": ["PUT"],
    "routes.0.backend": "http://127.0.0.1:2",
    "routes.0.strip_prefix": "/t/{t}",
    "routes.0.preserve_host": True,
    "routes.0.allow_encoded_slash": True,
    "routes.0.allow_path_parameters": True,
    "routes.0.auth.mode": "optional",
    "routes.0.auth.provider": "q",
    "routes.0.auth.scopes": ["other"],
    "routes.0.auth.any_scope": ["other"],
    "routes.0.auth.audience": ["other"],
    "routes.0.auth.issuer": "http://127.0.0.1:1/other",
    "routes.0.auth.roles": ["other"],
    "routes.0.auth.claims": {"other": "x"},
    "routes.0.auth.proof": "ignore",
    "routes.0.auth.max_age": "31s",
    "routes.0.auth.stale_if_error": "6m",
    "routes.0.auth.stale_methods": ["GET"],
    "routes.0.auth.streams": "keep",
    "routes.0.identity.headers": {"X-Other": "sub"},
    "routes.0.authorization": "keep",
    "routes.0.request_headers.set": {"X-Env": "other"},
    "routes.0.request_headers.remove": ["X-Other"],
    "routes.0.response_headers.set": {"X-Env": "other"},
    "routes.0.response_headers.remove": ["X-Other"],
    "routes.0.cors.allow_origins": ["https://b.example"],
    "routes.0.cors.allow_methods": ["PUT"],
    "routes.0.cors.allow_headers": ["X-Other"],
    "routes.0.cors.expose_headers": ["X-Other"],
    "routes.0.cors.allow_credentials": True,
    "routes.0.cors.max_age": "11m",
    "routes.0.timeout": "31s",
    "routes.0.connect_timeout": "3s",
    "routes.0.read_timeout": "61s",
    "routes.0.retries": 2,
    "routes.0.connection_max_age": "6m",
    "routes.0.on_success": "evict_token",
    "routes.0.max_body": "12MiB",
    "routes.1.rewrite": "/other/{**}",
}


def document(folder, key: str = "") -> dict:
    """A file with every kind of part. Redis is named only where its keys are changed: to let go of it takes time."""
    p = {
        "issuer": "http://127.0.0.1:1/",
        "introspection_endpoint": "http://127.0.0.1:1/introspect",
        "client_id": "gw",
        "client_secret": "secret-of-the-client",
        "breaker": {},
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
        "providers": {"p": p, "q": k},
        "cache": {"max_entries": 1000, **(REDIS if key.startswith("cache.") else {})},
        "events": {},
        "log": {"level": "error"},
        "routes": [
            {
                "name": "first",
                "match": {"host": "a.example", "path": "/t/{t}/orders/**", "methods": ["GET"]},
                "backend": "http://127.0.0.1:1",
                "auth": {"mode": "required", "provider": "p", "max_age": "30s", "stale_if_error": "5m"},
                "identity": {"headers": {"X-User": "sub"}},
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
        ],
    }


# What tells how a process came to be, and steers nothing: the text it was started with, and what it has counted.
OF_THE_PAST = ("._serving._source.", "._observation._")
REDIS = {"redis": "redis://127.0.0.1:1/0", "secret": "secret-of-the-cache-0123456789"}
FILES = {"certificate": "cert", "key": "key", "client_ca": "ca"}
# Changed together, since one without the other is no good file.
TOGETHER = {
    "server.tls.certificate": {"server.tls.key": "other-key.pem"},
    "server.tls.key": {"server.tls.certificate": "other-cert.pem"},
    "routes.0.on_success": {"routes.0.match.methods": ["POST"]},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("in-force")
    for prefix in ("", "other-"):
        authority = trustme.CA()
        certificate = authority.issue_cert("localhost")
        authority.cert_pem.write_to_path(folder / f"{prefix}ca.pem")
        certificate.private_key_pem.write_to_path(folder / f"{prefix}key.pem")
        (folder / f"{prefix}cert.pem").write_bytes(b"".join(one.bytes() for one in certificate.cert_chain_pems))
    return folder


def changed(before: dict, key: str, folder) -> str:
    after = copy.deepcopy(before)
    for path, value in {key: ANOTHER[key], **TOGETHER.get(key, {})}.items():
        *places, last = path.split(".")
        place = after
        for name in places:
            place = place[int(name)] if name.isdigit() else place.setdefault(name, {})
        place[last] = str(folder / value) if path.startswith("server.tls.") else value
    return json.dumps(after)


def keys(model: type[Model], place: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = model_of(field.annotation)
        yield from [f"{place}{name}"] if inner is None else keys(inner, f"{place}{name}.")


def test_every_key_has_another_value():
    named = {".".join(part for part in key.split(".") if not part.isdigit() and part not in "pk") for key in ANOTHER}
    # A private key takes the place of a secret, and is a setting of the provider as that is.
    assert named == set(keys(Config)) - {"providers.private_key"}


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


@pytest.mark.parametrize("key", sorted(set(ANOTHER) - FIXED))
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
