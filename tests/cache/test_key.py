import hmac

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Inactive
from gateway.cache.key import HmacKeys, stretched
from gateway.cache.key_ring import KeyRing
from gateway.introspection.invalidation import TOKEN_CLAIMS, ClaimSelector, whole_realm

KEYS = HmacKeys(b"secret")
PURPOSES = [b"tokens", b"tags", b"sealing", b"name of the fleet"]
REALM = "https://sso.example.com"


def sub(value: str) -> ClaimSelector:
    return ClaimSelector(REALM, "sub", value)


@given(st.binary(), st.text(), st.binary(), st.text())
def test_different_pairs_have_different_keys(identity: bytes, token: str, other: bytes, other_token: str) -> None:
    same = (identity, token) == (other, other_token)
    assert (KEYS.key(identity, Token(token)) == KEYS.key(other, Token(other_token))) is same


@given(st.binary(), st.text())
def test_a_key_is_the_hmac_of_the_length_delimited_pair(identity: bytes, token: str) -> None:
    pair = len(identity).to_bytes(8, "big") + identity + token.encode()
    assert KEYS.key(identity, Token(token)) == hmac.digest(KEYS._token_key, pair, "sha256")


def test_where_the_provider_ends_and_the_token_begins_makes_a_difference() -> None:
    assert KEYS.key(b"https://a", Token("bc")) != KEYS.key(b"https://ab", Token("c"))


def test_a_key_is_the_same_for_all_who_share_the_secret_and_nobody_else() -> None:
    key = KEYS.key(b"provider", Token("token"))
    assert HmacKeys(b"secret").key(b"provider", Token("token")) == key
    assert HmacKeys(b"Secret").key(b"provider", Token("token")) != key
    assert len(key) == 32


def test_each_secret_that_is_tried_against_a_name_costs_a_slow_derivation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every key comes of the stretched secret: none can be tried without it."""
    costs: list[int] = []

    def counted(secret: bytes, **how: int) -> bytes:
        costs.append(128 * how["n"] * how["r"])
        return b"stretched " + secret

    monkeypatch.setattr("gateway.cache.key.scrypt", counted)
    monkeypatch.setattr("gateway.cache.key.stretched", stretched.__wrapped__)
    keys = HmacKeys(b"one that is tried")
    assert costs == [2**24]  # bytes of memory, RFC 7914 §6
    root = b"stretched one that is tried"
    derived = [HKDF(SHA256(), 32, None, b"gateway cache: " + what).derive(root) for what in PURPOSES]
    assert [keys._token_key, keys._tag_key, keys.sealing, keys.fleet] == [*derived[:3], derived[3][:8].hex()]


def test_the_key_that_a_token_keeps_is_for_one_secret_and_one_provider() -> None:
    token, other = Token("token"), HmacKeys(b"other")
    ring, ring_the_other_way = KeyRing([KEYS, other]), KeyRing([other, KEYS])
    for keys in (KEYS, other, ring, ring_the_other_way) * 2:
        for identity in (b"provider", b"provider", b"another"):
            assert keys.key(identity, token) == keys.key(identity, Token("token"))
    assert len({keys.key(b"provider", token) for keys in (KEYS, other, ring, ring_the_other_way)}) == 4


def test_without_a_secret_only_this_process_can_make_the_keys() -> None:
    assert HmacKeys(None).key(b"provider", Token("token")) != HmacKeys(None).key(b"provider", Token("token"))


def test_keys_tags_sealing_and_name_have_nothing_in_common() -> None:
    derived = {KEYS.key(b"sub", Token("x")), KEYS.tag(sub("x")), KEYS.sealing, bytes.fromhex(KEYS.fleet)}
    assert len(derived) == 4


def test_facts_are_tagged_by_each_claim_that_evicts() -> None:
    claims = {"sub": "alice", "sid": "s", "jti": "j", "client_id": "web", "email": "A@example.com", "scope": "read"}
    expected = {KEYS.tag(ClaimSelector(REALM, kind, str(claims[kind]))) for kind in TOKEN_CLAIMS} | {
        KEYS.tag(whole_realm(REALM))
    }
    assert set(KEYS.result_tags(REALM, Facts(claims, 0))) == expected
    assert len(expected) == len(TOKEN_CLAIMS) + 1


@pytest.mark.parametrize("claims", [{}, {"sub": 7, "sid": None, "jti": ["a"], "client_id": ""}])
def test_claims_of_another_type_are_no_tags(claims: dict[str, object]) -> None:
    assert KEYS.result_tags(REALM, Facts(claims, 0)) == (KEYS.tag(whole_realm(REALM)),)
    assert KEYS.result_tags(REALM, Inactive(0)) == ()


def test_one_name_in_two_realms_or_kinds_is_two() -> None:
    tags = {
        KEYS.tag(named)
        for named in (
            sub("x"),
            ClaimSelector("https://b", "sub", "x"),
            ClaimSelector(REALM, "sid", "x"),
            ClaimSelector(REALM + "x", "sub", ""),
        )
    }
    assert len(tags) == 4


def test_an_address_is_one_however_its_letters_are_written() -> None:
    assert KEYS.tag(ClaimSelector(REALM, "email", "Alice@Example.com")) == KEYS.tag(
        ClaimSelector(REALM, "email", "alice@example.com")
    )
    assert KEYS.tag(sub("Alice")) != KEYS.tag(sub("alice"))


def test_lone_surrogates_do_no_harm() -> None:
    assert KEYS.tag(sub("\ud800")) != KEYS.tag(sub("\ud801"))
    assert KEYS.key(b"", Token("\ud800")) != KEYS.key(b"", Token("\ud801"))


def test_the_tag_of_a_client_is_in_memory_once_and_few_are_remembered() -> None:
    keys, web = HmacKeys(b"secret"), ClaimSelector(REALM, "client_id", "web")
    assert keys.tag(web) is keys.tag(web)
    assert len({keys.tag(ClaimSelector(REALM, "client_id", str(number))) for number in range(1000)}) == 1000
    assert len(keys._client_tags.known) <= 256
    assert keys.tag(web) == KEYS.tag(web)
