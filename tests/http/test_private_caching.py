import pytest

from gateway.http.private_caching import made_private


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], "private"),
        (["public"], "private"),
        (["public, max-age=60, s-maxage=120"], "max-age=60, private"),
        (["no-store"], "no-store, private"),
        (["Private"], "private"),
        (['private="set-cookie", max-age=5'], "max-age=5, private"),
        (["max-age=1", "PUBLIC , S-MaxAge=9"], "max-age=1, private"),
        (['no-cache="a, public", x="\\"public"'], 'no-cache="a, public", x="\\"public", private'),
        ([" , ,"], "private"),
    ],
)
def test_a_shared_cache_keeps_nothing(before, after) -> None:
    lines = b"".join(f"cache-control: {value}\r\n".encode() for value in before)
    assert made_private(b"A: 1\r\n" + lines + b"B: 2\r\n") == f"A: 1\r\nB: 2\r\nCache-Control: {after}\r\n".encode()


@pytest.mark.parametrize("name", ["CDN-Cache-Control", "Surrogate-Control", "Cloudflare-CDN-Cache-Control"])
def test_what_would_overrule_it_is_gone(name) -> None:
    assert made_private(f"{name}: public\r\n".encode()) == b"Cache-Control: private\r\n"
