import pytest

from gateway.http.cookie_pairs import cookie_values, without_cookies


@pytest.mark.parametrize(
    ("lines", "values"),
    [
        ([b"Cookie: t=a"], [b"a"]),
        ([b"cookie: x=1; t=a; y=2"], [b"a"]),
        ([b"Cookie: t=a; t=b", b"Cookie: t=c"], [b"a", b"b", b"c"]),
        ([b'Cookie: t="a/b="'], [b"a/b="]),
        ([b"Cookie:  t = a ;x=1"], [b"a"]),
        ([b"Cookie: T=a; tt=b; xt=c; t"], []),
        ([b"Cookie: t=a=b="], [b"a=b="]),
        ([b"X-Cookie: t=a", b"Host: t=a"], []),
        ([b"Cookie: t="], [b""]),
    ],
)
def test_every_cookie_of_the_name_is_found(lines, values) -> None:
    assert cookie_values(lines, b"t") == values


@pytest.mark.parametrize(
    ("line", "left"),
    [
        (b"Cookie: t=a", None),
        (b"Cookie: x=1; t=a; y=2", b"Cookie: x=1; y=2"),
        (b"Cookie: t=a; x=1", b"Cookie: x=1"),
        (b'Cookie: t="a"; t=b;  t = c', None),
        (b"Cookie: x=1;y=2", b"Cookie: x=1;y=2"),
        (b"Cookie: tt=1; t", b"Cookie: tt=1; t"),
        (b"Host: t=a", b"Host: t=a"),
    ],
)
def test_only_these_pairs_are_taken_out(line, left) -> None:
    assert without_cookies(line, frozenset([b"t"])) == left
    if left is not None:
        assert without_cookies(left, frozenset([b"t"])) == left
