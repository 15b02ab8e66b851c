"""The doctor tries the keys where JWTs are judged by them, and asks about no token where nobody is asked."""

import time

import pytest
from support.configuration import loaded
from support.scripted_provider import Reply, ScriptedProvider
from support.signing import jwk, key_for, rsa_key

from gateway.runtime.doctor import examine

ROUTE = "routes: [{name: a, backend: 'http://127.0.0.1:9', auth: none}]\n"


@pytest.mark.parametrize(
    ("keys", "more", "grade", "says"),
    [
        ({"keys": [jwk(rsa_key())]}, "", "ok", "there are keys for RS256, PS256"),
        ({"keys": [jwk(key_for("ES384"))]}, "", "FAIL", "none of them serves one of"),
        ({"keys": [jwk(rsa_key())]}, ", algorithms: [ES256]", "FAIL", "none of them serves one of [ES256]"),
        (Reply(500, {}), "", "FAIL", "check jwks_uri"),
    ],
)
async def test_the_keys_are_tried(keys, more, grade, says) -> None:
    async with ScriptedProvider() as provider:
        provider.keys = keys
        section = f"{{issuer: '{provider.issuer}', jwks_uri: '{provider.jwks_uri}', validation: jwt{more}}}"
        found = await examine(loaded(f"providers: {{sso: {section}}}\n{ROUTE}"), time.time(), None)
        by_subject = {one.subject: (one.grade, one.words) for one in found}
        assert by_subject["provider sso keys"][0] == grade
        assert says in by_subject["provider sso keys"][1]
        assert "provider sso credentials" not in by_subject
        assert provider.introspections == []
