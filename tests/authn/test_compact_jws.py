import json

import pytest
from support.signing import encoded, signed

from gateway.authn.compact_jws import JwsFault, Unverified, audience_of, is_compact, read_unverified

CLAIMS = {"iss": "https://i", "sub": "alice"}


def with_header(**members: object) -> str:
    return f"{encoded(json.dumps(members).encode())}.{encoded(b'{}')}.c2ln"


def test_the_parts_are_read_without_a_key_and_shown_nowhere() -> None:
    token = signed(CLAIMS, typ="application/AT+JWT")
    read = read_unverified(token)
    assert isinstance(read, Unverified)
    assert (read.algorithm, read.kid, read.typ, read.claims) == ("RS256", "k1", "at+jwt", CLAIMS)
    assert token not in repr(read)
    assert "alice" not in repr(read)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("opaque", "not a token in compact form"),
        ("a.b.c.d.e", "encrypted"),
        (with_header(alg="none")[:-4], "not signed"),
        (with_header(alg="RS256", crit=["exp"]), "extension"),
        (with_header(alg="RS256", b64=False), "extension"),
        (with_header(alg=["RS256"]), "wrong type"),
        ("a.b." + "c" * (32 * 2**10), "too long"),
    ],
)
def test_what_cannot_be_verified_is_a_fault(text: str, words: str) -> None:
    read = read_unverified(text)
    assert isinstance(read, JwsFault)
    assert words in read.description
    assert read.kind == ("unsigned" if "not signed" in words else "malformed")


def test_the_bounds_are_the_callers() -> None:
    claims = {"members": [{}] * 1_000}
    assert isinstance(read_unverified(signed(claims)), JwsFault)
    assert isinstance(read_unverified(signed(claims), containers_max=None), Unverified)
    assert isinstance(read_unverified(signed(CLAIMS), chars_max=100), JwsFault)


@pytest.mark.parametrize(
    ("aud", "members"),
    [("gw", {"gw"}), (["gw", "app"], {"gw", "app"}), *[(wrong, None) for wrong in (None, "", [], [7], {}, ["gw", ""])]],
)
def test_an_audience_is_a_text_or_a_list_of_texts(aud: object, members: set[str] | None) -> None:
    assert audience_of(aud) == members


def test_the_form_alone() -> None:
    assert is_compact("a.b-_.c")
    assert not any(is_compact(text) for text in ("a.b", "a.b.", "a.b.c.d", "a.b=.c", "a.b.c\n", ""))
