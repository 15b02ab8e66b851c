import base64
import json

import pytest

from gateway.authn.bearer import Token
from gateway.authn.jwt_hint import hopeless, unverified_issuer


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


NOW = 1_700_000_000.0
OURS = "https://sso.example.com/realms/demo"


def claiming(**claims: object) -> Token:
    return jwt(json.dumps(claims).encode())


@pytest.mark.parametrize(
    ("token", "issuer"),
    [
        (claiming(exp=NOW - 3600), None),
        (claiming(exp=NOW - 60), OURS),
        (claiming(exp=0), OURS),
        (claiming(exp=-5), OURS),
        (claiming(exp=NOW - 60.5, iss=OURS), OURS),
        (claiming(exp=NOW + 60, iss="https://sso.example.com/realms/other"), OURS),
        (claiming(iss=OURS + "/"), OURS),
        (claiming(iss=""), OURS),
    ],
)
def test_what_could_never_be_good_is_hopeless(token: Token, issuer: str | None) -> None:
    assert hopeless(token, issuer, NOW)


@pytest.mark.parametrize(
    ("token", "issuer"),
    [
        (claiming(exp=NOW - 59), OURS),  # by the provider's clock it may still be good
        (claiming(exp=NOW + 60, iss=OURS), OURS),
        (claiming(iss="https://elsewhere.example.com"), None),  # nobody said whose tokens count
        (claiming(sub="alice"), OURS),
        (claiming(iss=[OURS]), OURS),
        (claiming(iss=7), OURS),
        (claiming(exp="yesterday"), OURS),
        (claiming(exp=True), OURS),
        (claiming(exp=None), OURS),
        (claiming(nbf=NOW + 3600), OURS),
        (Token("opaque"), OURS),
        (Token("a.b.c"), OURS),
        (jwt(b'{"exp":1,"exp":2}'), OURS),
        (jwt(b'{"exp":1e999}'), OURS),
        (jwt(b'[{"exp":1}]'), OURS),
        (Token(claiming(exp=1).value + ".x"), OURS),
    ],
)
def test_all_else_is_the_providers_to_judge(token: Token, issuer: str | None) -> None:
    assert hopeless(token, issuer, NOW) is None
