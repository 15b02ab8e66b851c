import hmac

from hypothesis import given
from hypothesis import strategies as st

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Inactive
from gateway.cache.key import Keys

KEYS = Keys(b"secret")


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
    assert Keys(b"secret").key(b"provider", Token("token")) == key
    assert Keys(b"Secret").key(b"provider", Token("token")) != key
    assert len(key) == 32


def test_without_a_secret_keys_are_of_this_process_alone() -> None:
    assert Keys(None).key(b"provider", Token("token")) != Keys(None).key(b"provider", Token("token"))


def test_keys_tags_sealing_and_name_have_nothing_in_common() -> None:
    derived = {KEYS.key(b"sub", Token("x")), KEYS.sub_tag("x"), KEYS.sealing, bytes.fromhex(KEYS.fleet)}
    assert len(derived) == 4


def test_facts_are_tagged_by_sub_and_nothing_else_is() -> None:
    assert KEYS.tags(Facts({"sub": "alice"}, 0)) == (KEYS.sub_tag("alice"),)
    assert KEYS.tags(Facts({}, 0)) == KEYS.tags(Facts({"sub": 7}, 0)) == KEYS.tags(Inactive(0)) == ()


def test_lone_surrogates_do_no_harm() -> None:
    assert KEYS.sub_tag("\ud800") != KEYS.sub_tag("\ud801")
    assert KEYS.key(b"", Token("\ud800")) != KEYS.key(b"", Token("\ud801"))
