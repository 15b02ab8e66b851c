"""The token that tells a backend who is calling: what it holds, how long it is good, and when it is made again."""

import math

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authn.facts import Facts
from gateway.config.identity_key import new_private_pem, read_identity_key
from gateway.identity import Identity, IdentityRules, render
from gateway.signed_identity import IdentityTokenRules, signed_identity

NOW = 1_700_000_000.0
KEY = read_identity_key(new_private_pem("ES256"), needs_private=True)
CLAIMS = (("sub", (("sub",),)), ("roles", (("realm_access", "roles"),)), ("name", (("nick",), ("preferred_username",))))


def rules(*, ttl_s: float = 60.0, audience: str | tuple[str, ...] = "orders", claims=CLAIMS, key=KEY):
    return IdentityTokenRules("X-Identity-Token", key, "https://gateway.example.com", audience, ttl_s, claims)


def read(text: str) -> dict:
    return jwt.decode(text, KEY.private.public_key(), ["ES256"], options={"verify_exp": False, "verify_aud": False})


def facts(exp: float | None = None, **claims) -> Facts:
    return Facts(claims, NOW, exp)


def test_claims_keep_their_types_and_absent_ones_are_absent():
    known = facts(sub="alice", realm_access={"roles": ["a", "b"]}, preferred_username="Alice", other="not asked for")
    token = read(signed_identity(rules(), known, NOW).text)
    assert token == {
        "sub": "alice", "roles": ["a", "b"], "name": "Alice", "iss": "https://gateway.example.com", "aud": "orders",
        "iat": NOW, "exp": NOW + 60,
    }  # fmt: skip


@pytest.mark.parametrize("value", [True, 7, 1.5, {"a": [1]}, [], "é", "a\r\nb", False, 0])
def test_each_type_of_claim_arrives_as_it_is(value):
    claims = (("c", (("c",),)),)
    assert read(signed_identity(rules(claims=claims), facts(c=value), NOW).text)["c"] == value


def test_the_header_names_algorithm_and_key():
    header = jwt.get_unverified_header(signed_identity(rules(), facts(sub="a"), NOW).text)
    assert header == {"alg": "ES256", "typ": "JWT", "kid": KEY.kid}


def test_several_audiences_are_a_list():
    assert read(signed_identity(rules(audience=("a", "b")), facts(), NOW).text)["aud"] == ["a", "b"]


@given(st.floats(0, 200), st.floats(1, 100), st.floats(0, 1))
def test_it_never_outlives_the_callers_token(left_s, ttl_s, fraction):
    now = NOW + fraction
    signed = signed_identity(rules(ttl_s=ttl_s), facts(exp=now + left_s), now)
    exp = read(signed.text)["exp"]
    assert exp <= math.floor(now + left_s)
    assert exp == math.floor(now + left_s) or now + ttl_s <= exp < now + ttl_s + 1  # whole seconds, none missing


@given(st.floats(1, 100), st.floats(0, 1, exclude_max=True))
def test_it_is_made_again_before_its_end(ttl_s, fraction):
    now = NOW + fraction
    signed = signed_identity(rules(ttl_s=ttl_s), facts(), now)
    assert now < signed.renew_at < read(signed.text)["exp"]


def rendered(known: Facts, by: IdentityRules, now: float) -> Identity:
    made = render(by, known, now)
    assert isinstance(made, Identity)
    return made


def test_it_is_signed_once_for_the_facts_and_each_route():
    known, one, other = facts(sub="a"), IdentityRules({}, rules()), IdentityRules({}, rules(audience="billing"))
    first = rendered(known, one, NOW)
    beside = rendered(known, other, NOW)
    assert rendered(known, one, NOW + 1).pairs == first.pairs
    assert rendered(known, other, NOW + 39).pairs == beside.pairs != first.pairs


def test_it_is_signed_again_when_two_thirds_are_over():
    known, by = facts(sub="a"), IdentityRules({}, rules())
    first = rendered(known, by, NOW)
    assert rendered(known, by, NOW + 39.9) is first
    assert rendered(known, by, NOW + 40).pairs != first.pairs


def test_one_that_ends_with_the_callers_token_is_not_made_again():
    known, by = facts(exp=NOW + 30, sub="a"), IdentityRules({}, rules())
    assert rendered(known, by, NOW + 29.9) is rendered(known, by, NOW)


def test_the_tokens_that_some_facts_remember_are_few():
    known = facts(sub="a")
    for number in range(40):
        rendered(known, IdentityRules({}, rules(audience=str(number))), NOW)
    assert len(known.memo.signed) <= 16


def test_it_stands_beside_headers_and_the_whole_answer():
    known = facts(sub="alice", active=True)
    made = rendered(known, IdentityRules({"X-User-Id": (("sub",),)}, rules(), "X-Introspection"), NOW)
    assert [name for name, _ in made.pairs] == ["X-User-Id", "X-Identity-Token", "X-Introspection"]
    assert dict(made.pairs)["X-Introspection"] == "eyJzdWIiOiJhbGljZSIsImFjdGl2ZSI6dHJ1ZX0"
    assert made.lines.count(b"\r\n") == 3


@pytest.mark.parametrize(("length", "is_sent"), [(6000, True), (6200, False)])
def test_an_answer_over_8_kib_is_left_out(length, is_sent):
    made = rendered(facts(sub="a" * length), IdentityRules({}, None, "X-Introspection"), NOW)
    assert (bool(made.pairs), made.lacks_answer, made.is_notable) == (is_sent, not is_sent, not is_sent)
