"""Identity headers that many backends refuse: they are sent, and the operator is told once for each route."""

import pytest


def told(gateway):
    return [line for line in gateway.lines.all if line["event"] == "identity_large"]


@pytest.fixture
def routes(backend):
    return [{"name": name, "match": {"path": f"/{name}/**"}, "backend": backend.url} for name in ("api", "other")]


async def test_it_is_told_once_for_each_route(serve, routes, provider, backend):
    provider.answers["good"]["realm_access"] = {"roles": [f"role-{number}-é" for number in range(700)]}
    gateway = await serve(routes)
    for _ in range(4):  # the later ones are like ones before them
        for name in ("api", "other"):
            assert (await gateway.get(f"/{name}/x", token="good")).status == 200
    (roles,) = backend.requests[-1].values("X-Roles")
    assert roles.endswith("role-699-Ã©")
    lines = told(gateway)
    assert [(line["level"], line["route"]) for line in lines] == [("warning", "api"), ("warning", "other")]
    for line in lines:
        assert 8192 < len(roles.encode("latin-1")) < line["size_bytes"] < 16_384
        assert str(line["size_bytes"]) in line["message"]


async def test_others_are_not_told_of(serve, routes, provider):
    provider.answers["good"]["realm_access"] = {"roles": ["a" * 7000]}
    gateway = await serve(routes)
    for _ in range(3):
        assert (await gateway.get("/api/x", token="good")).status == 200
    assert told(gateway) == []
