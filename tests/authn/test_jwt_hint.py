import base64
import json

import pytest

from gateway.authn.bearer import Token
from gateway.authn.jwt_hint import unverified_issuer


def jwt(payload: bytes) -> Token:
    part = base64.urlsafe_b64encode(payload).decode().rstrip("=")
    return Token(f"e30.{part}.c2ln")


def test_a_jwt_names_its_issuer() -> None:
    assert unverified_issuer(jwt(json.dumps({"iss": "https://a"}).encode())) == "https://a"


@pytest.mark.parametrize(
    "token",
    [Token("opaque"), Token("a.b"), Token("a.b.c.d"), Token("a.!.c"), jwt(b"{"), jwt(b"[]"), jwt(b"{}"),
     jwt(b'{"iss":5}'),
     jwt(b'{"iss":"a","iss":"b"}'), jwt(b"\xff"), Token("..")],
)  # fmt: skip
def test_what_names_nobody_is_opaque(token: Token) -> None:
    assert unverified_issuer(token) is None
