import pytest
from pydantic import SecretStr

from gateway.admin.access import is_rebound, token_refusal
from gateway.config.values import parse_address

TOKEN = SecretStr("admin")


@pytest.mark.parametrize("value", ["Bearer admin", "bearer admin", "BEARER   admin", " Bearer admin\t"])
def test_the_holder_of_the_token_is_let_in(value):
    assert token_refusal([value], TOKEN) is None


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ([], "token_missing"),
        (["Bearer admin", "Bearer admin"], "token_missing"),
        (["Basic YWRtaW4="], "token_missing"),
        (["admin"], "token_missing"),
        ([""], "token_missing"),
        (["Bearer"], "invalid_token"),
        (["Bearer "], "invalid_token"),
        (["Bearer Admin"], "invalid_token"),
        (["Bearer admin, Bearer admin"], "invalid_token"),
        (["Bearer \udcff\udcfe"], "invalid_token"),
        (["Bearer " + "a" * 100_000], "invalid_token"),
    ],
)
def test_everybody_else_is_not(values, code):
    assert token_refusal(values, TOKEN).code == code


@pytest.mark.parametrize("token", [None, SecretStr("")])
@pytest.mark.parametrize("values", [[], ["Bearer "], ["Bearer x"]])
def test_no_configured_token_lets_nobody_in(token, values):
    assert token_refusal(values, token).code == "forbidden"


@pytest.mark.parametrize("listen", ["127.0.0.1:9090", "[::1]:9090", "localhost:9090", "127.1.2.3:9090"])
@pytest.mark.parametrize(
    ("host", "rebound"),
    [
        ("127.0.0.1:9090", False),
        ("127.0.0.1", False),
        ("localhost", False),
        ("LOCALHOST.:9090", False),
        ("[::1]:9090", False),
        ("[::1]", False),
        (None, False),
        ("evil.example.com", True),
        ("evil.example.com:9090", True),
        ("localhost.evil.example", True),
        ("127.0.0.1.evil.example:9090", True),
        ("[::1].evil.example", True),
        ("", True),
    ],
)
def test_a_loopback_listener_is_asked_by_its_address_or_localhost_only(listen, host, rebound):
    assert is_rebound(host, parse_address(listen)) is rebound


@pytest.mark.parametrize("listen", ["0.0.0.0:9090", ":9090", "10.0.0.1:9090", "gateway:9090", "unix:/run/g.sock"])
def test_any_other_listener_is_asked_by_any_name(listen):
    assert not is_rebound("gateway.example.com:9090", parse_address(listen))
