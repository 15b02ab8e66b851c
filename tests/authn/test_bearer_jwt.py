import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.signing import encoded, forged_by_mac, signed, unsigned

from gateway.authn.bearer_jwt import BearerJwt, JwtFault, access_claims, facts_of_jwt, read_bearer_jwt
from gateway.authn.facts import Facts, Indeterminate

ISSUER, NOW = "https://sso.example.com/realms/demo", 1_700_000_000.0
CLAIMS = {"iss": ISSUER, "sub": "alice", "exp": NOW + 300, "iat": NOW - 1}
ALGORITHMS = frozenset({"RS256", "ES256"})


def read(value):
    return read_bearer_jwt(value, ALGORITHMS)


def compact(header, payload=b"{}", signature="c2ln"):
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    return f"{encoded(head)}.{encoded(payload)}.{signature}"


def test_the_header_is_read_and_nothing_else_before_the_signature() -> None:
    jwt = read(signed(b"not json", typ="application/AT+jwt"))
    assert isinstance(jwt, BearerJwt)
    assert (jwt.algorithm, jwt.kid, jwt.typ, jwt.payload) == ("RS256", "k1", "at+jwt", b"not json")


@pytest.mark.parametrize(
    "value",
    [
        "opaque",
        "a.b",
        "a.b.c",
        "a.b.c.d.e",  # a JWE, which only the provider can open
        compact(b"[]"),
        compact(b'"alg"'),
        compact(b"{}"),
        compact({"typ": "JWT"}),
        compact(b"{nonsense"),
        "ey~.b.c",
        "a" * 10_000 + ".b.c",
        "..",
    ],
)
def test_what_has_no_header_with_alg_is_opaque(value) -> None:
    assert read(value) is None


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (unsigned(CLAIMS), "not signed"),
        (forged_by_mac(CLAIMS), "alg is HS256"),
        (compact({"alg": "none"}), "alg is none"),
        (compact({"alg": "nOnE"}), "alg is nOnE"),
        (compact({"alg": "RS512"}), "alg is RS512"),
        (compact({"alg": "a b\n"}), "alg is another"),
        (compact({"alg": None}), "wrong type"),
        (compact({"alg": ["RS256"]}), "wrong type"),
        (compact({"alg": "RS256", "kid": 7}), "wrong type"),
        (compact({"alg": "RS256", "typ": 7}), "wrong type"),
        (compact({"alg": "RS256", "kid": "k" * 1025}), "kid is too long"),
        (compact({"alg": "RS256", "crit": ["exp"]}), "crit"),
        (compact({"alg": "RS256", "crit": []}), "crit"),
        (compact({"alg": "RS256", "b64": False}), "crit"),
        *(
            (compact({"alg": "RS256", "typ": typ}), "typ in its header")
            for typ in ("logout+jwt", "dpop+jwt", "id+jwt", "x", "")
        ),
        (compact(b'{"alg":"RS256","alg":"none"}'), "not JSON that can be relied on"),
        (compact(b'{"alg":"RS256","x":NaN}'), "not JSON that can be relied on"),
        (compact(b'{"alg":"RS256","x":' + b"[" * 80 + b"]" * 80 + b"}"), "not JSON that can be relied on"),
        (compact({"alg": "RS256", "x": [[]] * 80}), "not JSON that can be relied on"),  # each costs a call
        (compact({"alg": "RS256", "x5c": ["c" * 10_000]}), "header is too long"),
        (compact({"alg": "RS256"}, signature=""), "not signed"),
        (compact({"alg": "RS256"}, signature="c2l~"), "compact form"),
        (compact({"alg": "RS256"}, signature="c2lnc"), "base64url"),
        (compact({"alg": "RS256"}, payload=b""), "compact form"),
    ],
)
def test_a_header_that_is_not_that_of_an_access_token_refuses(value, says) -> None:
    fault = read(value)
    assert isinstance(fault, JwtFault)
    assert says in fault.reason


@pytest.mark.parametrize("typ", [None, "JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "application/jwt"])
def test_the_types_of_access_tokens_pass(typ) -> None:
    assert isinstance(read(signed(CLAIMS, typ=typ)), BearerJwt)


def test_a_signature_has_one_text() -> None:
    value = signed(CLAIMS)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = value[:-1] + alphabet[alphabet.index(value[-1]) ^ 1]
    signature, its_twin = (text.rpartition(".")[2] for text in (value, other))
    assert base64.urlsafe_b64decode(signature + "==") == base64.urlsafe_b64decode(its_twin + "==")
    assert isinstance(read(other), JwtFault)


def claims_of(payload, leeway_s=None, issuer=ISSUER, **header):
    jwt = read(signed(payload, **header))
    assert isinstance(jwt, BearerJwt)
    return access_claims(jwt, issuer, NOW, leeway_s)


def test_claims_of_an_access_token_are_given_as_they_are() -> None:
    assert claims_of(CLAIMS) == CLAIMS


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"iss": "https://evil"}, "another issuer"),
        ({"iss": [ISSUER]}, "another issuer"),
        ({"iss": None}, "another issuer"),
        ({"exp": None}, "no exp"),
        *(({"exp": exp}, "exp is not a time") for exp in ("1700000300", True, -1, 10**12 * 2, [1])),
        ({"exp": NOW}, "exp was 0 s ago"),
        ({"exp": 0}, "exp was"),
        ({"nbf": NOW + 1}, "nbf is 1.0 s ahead"),
        ({"nbf": NOW + 6, "iat": NOW + 6}, "nbf is 6.0 s ahead"),
        *(({"nbf": nbf}, "nbf is not a time") for nbf in (None, "1", -1, True)),
        ({"iat": NOW + 0.5}, "iat is 0.5 s ahead"),
        *(({"iat": iat}, "iat is not a time") for iat in (None, "1", -1, 1e30, {})),
        ({"typ": "ID"}, "typ is id"),
        ({"typ": "Refresh"}, "typ is refresh"),
        ({"token_use": "id"}, "token_use is id"),
        ({"nonce": "n"}, "nonce"),
        ({"at_hash": "n"}, "at_hash"),
        ({"nonce": "n", "typ": "other"}, "nonce"),
    ],
)
def test_claims_that_are_not_those_of_a_valid_access_token_refuse(changed, says) -> None:
    payload = {**CLAIMS, **changed}
    if changed == {"exp": None}:
        del payload["exp"]
    fault = claims_of(payload)
    assert isinstance(fault, JwtFault)
    assert says in fault.reason


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": NOW + 0.001},
        {"nbf": NOW},
        {"nbf": NOW + 5, "iat": NOW + 4},  # the moment of issue by a clock that is ahead: Spring, Hydra
        {"typ": "Bearer", "nonce": "n"},  # Keycloak before 26, by its own word an access token
        {"typ": "DPoP", "nonce": "n"},
        {"token_use": "access"},
    ],
)
def test_claims_of_a_valid_access_token_pass(changed) -> None:
    assert isinstance(claims_of({**CLAIMS, **changed}), dict)


def test_a_written_leeway_is_for_nbf_and_iat_and_never_for_exp() -> None:
    assert isinstance(claims_of({**CLAIMS, "iat": NOW + 10, "nbf": NOW + 10}, leeway_s=10.0), dict)
    assert isinstance(claims_of({**CLAIMS, "exp": NOW - 1}, leeway_s=10.0), JwtFault)
    assert isinstance(claims_of({**CLAIMS, "iat": NOW + 1, "nbf": NOW + 1}, leeway_s=0.0), JwtFault)


@pytest.mark.parametrize("payload", [b"[]", b"{", b'{"iss":1,"iss":2}', b"\xff", b"[" * 1000, b'{"a":NaN}'])
def test_claims_that_are_not_one_object_refuse(payload) -> None:
    assert isinstance(claims_of(payload), JwtFault)


def test_facts_of_a_jwt_are_as_those_of_an_introspection() -> None:
    facts = facts_of_jwt({**CLAIMS, "scope": "a b", "azp": "web"}, NOW)
    assert isinstance(facts, Facts)
    assert (facts.scopes, facts.exp, facts.introspected_at) == ({"a", "b"}, CLAIMS["exp"], NOW)
    assert facts.claims["client_id"] == "web"


def test_a_client_id_of_its_own_stays() -> None:
    facts = facts_of_jwt({**CLAIMS, "client_id": "me", "azp": "web"}, NOW)
    assert isinstance(facts, Facts)
    assert facts.claims["client_id"] == "me"


@pytest.mark.parametrize("scope", [["a"], 7, None])
def test_a_scope_of_the_wrong_type_is_unclear_and_never_a_yes(scope) -> None:
    assert isinstance(facts_of_jwt({**CLAIMS, "scope": scope}, NOW), Indeterminate)


@given(st.text() | st.from_regex(r"[\w-]*\.[\w-]*\.[\w-]*", fullmatch=True) | st.binary().map(compact))
def test_any_text_is_a_jwt_a_fault_or_opaque(text) -> None:
    assert read(text) is None or isinstance(read(text), BearerJwt | JwtFault)
