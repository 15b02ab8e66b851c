import pytest

from gateway.provider.grants import AuthorizationCode, ClientCredentials, Password, RefreshToken, TokenExchange

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS = "urn:ietf:params:oauth:token-type:access_token"
JWT = "urn:ietf:params:oauth:token-type:jwt"


@pytest.mark.parametrize(
    ("grant", "pairs"),
    [
        (ClientCredentials(), [("grant_type", "client_credentials")]),
        (Password("alice", "pw"), [("grant_type", "password"), ("username", "alice"), ("password", "pw")]),
        (RefreshToken("r"), [("grant_type", "refresh_token"), ("refresh_token", "r")]),
        (AuthorizationCode("c"), [("grant_type", "authorization_code"), ("code", "c")]),
        (
            AuthorizationCode("c", "https://app/cb", "verifier"),
            [
                ("grant_type", "authorization_code"),
                ("code", "c"),
                ("redirect_uri", "https://app/cb"),
                ("code_verifier", "verifier"),
            ],
        ),
        (
            TokenExchange("s"),
            [("grant_type", EXCHANGE), ("subject_token", "s"), ("subject_token_type", ACCESS)],
        ),
        (
            TokenExchange("s", JWT, ACCESS, ("a", "b"), ("https://r",), "x", JWT),
            [
                ("grant_type", EXCHANGE),
                ("subject_token", "s"),
                ("subject_token_type", JWT),
                ("requested_token_type", ACCESS),
                ("actor_token", "x"),
                ("actor_token_type", JWT),
                ("audience", "a"),
                ("audience", "b"),
                ("resource", "https://r"),
            ],
        ),
    ],
)
def test_each_grant_is_its_parameters(grant, pairs):
    assert list(grant.pairs()) == pairs


@pytest.mark.parametrize(
    "grant",
    [
        Password("alice", "TOPSECRET"),
        RefreshToken("TOPSECRET"),
        AuthorizationCode("TOPSECRET", None, "TOPSECRET"),
        TokenExchange("TOPSECRET", actor_token="TOPSECRET"),
    ],
)
def test_no_repr_shows_a_secret(grant):
    assert "TOPSECRET" not in repr(grant)
