"""The walk of `docs/mcp.md`: each exchange is as the guide shows it."""

import json
from pathlib import Path

import pytest
from support import mcp_guide
from support.running_gateway import RunningGateway

from gateway.config.load import load_text

AUDIENCE = "https://mcp.example.com/mcp"
WITHOUT_SCOPE = "a-token-without-the-scope"


def test_its_file_is_a_sound_one(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("")
    loaded = mcp_guide.CONFIGURATION.replace("  tls: {certificate: cert.pem, key: key.pem}\n", "")
    assert loaded != mcp_guide.CONFIGURATION
    config = load_text(loaded, "gateway.yaml", environ={"SSO_CLIENT_SECRET": "a-secret"}, directory=tmp_path)
    assert config.routes[0].resource is not None


@pytest.fixture
async def walked(provider, backend):
    provider.answers["the-token-of-the-client"] = {
        "active": True, "sub": "alice", "scope": "mcp:tools", "aud": AUDIENCE
    }  # fmt: skip
    provider.answers[WITHOUT_SCOPE] = {"active": True, "sub": "alice", "scope": "other", "aud": AUDIENCE}
    provider.answers["for-another"] = {"active": True, "scope": "mcp:tools", "aud": "https://other.example.com/mcp"}
    keys = {"introspection_endpoint": provider.introspection_endpoint, "client_secret": "a-secret"}
    gateway = RunningGateway(json.dumps(mcp_guide.configuration(backend.url, **keys)))
    await gateway.start()
    yield gateway
    await gateway.stop()


async def test_each_exchange_is_as_the_guide_shows_it(walked, backend) -> None:
    steps = mcp_guide.steps()
    assert [step.status for step in steps] == [401, 200, 200, 403]
    for step in steps:
        answer = await walked.ask(step.wire, step.method)
        assert answer.status == step.status
        for name, value in step.fields:
            assert answer.value(name) == value
        if step.body:
            assert json.loads(answer.body) == json.loads(step.body)
    [seen] = backend.requests
    told = [seen.value(name) for name in ("X-User-Id", "X-Scopes", "Authorization")]
    assert told == ["alice", "mcp:tools", None]


async def test_a_token_for_another_server_is_refused_like_none(walked, backend) -> None:
    [step] = [step for step in mcp_guide.steps() if b"the-token-of-the-client" in step.wire]
    answer = await walked.ask(step.wire.replace(b"the-token-of-the-client", b"for-another"), "POST")
    assert answer.status == 401
    assert "resource_metadata=" in answer.value("WWW-Authenticate")
    assert backend.requests == []
