import pytest

from gateway.http.rejected_token import rejects_token


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'WWW-Authenticate: Bearer error="invalid_token"', True),
        (b'www-authenticate: bearer realm="a, b", error=invalid_token, error_description="x"', True),
        (b'WWW-Authenticate: Basic realm="x", Bearer error="invalid_token"', True),
        (b'WWW-Authenticate: Bearer error="insufficient_scope"', False),
        (b"WWW-Authenticate: Bearer", False),
        (b'WWW-Authenticate: DPoP error="invalid_token"', False),
        (b'WWW-Authenticate: Bearer realm="error=invalid_token"', False),
        (b'WWW-Authenticate: Basic realm="Bearer error=invalid_token"', False),
        (b'X-Other: Bearer error="invalid_token"', False),
        (b'WWW-Authenticate: Bearer error="invalid_token' + b"x" * 4000, False),
        (b'WWW-Authenticate: Bearer error="' + b'\\"' * 500 + b'"', False),
    ],
)
def test_only_a_bearer_challenge_that_names_the_token_is_one(line: bytes, expected: bool) -> None:
    assert rejects_token([b"Content-Length: 0", line]) is expected
