import pytest
from support.configuration import PROVIDER, ROUTE, lines

from gateway.config.redis_url import RedisAddress, parse_redis_url


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://localhost", RedisAddress("single", hosts=(("localhost", 6379),))),
        ("redis://localhost:6380/3", RedisAddress("single", hosts=(("localhost", 6380),), db=3)),
        ("redis://[::1]:6379/", RedisAddress("single", hosts=(("::1", 6379),))),
        ("redis://:p%40ss@h", RedisAddress("single", hosts=(("h", 6379),), password="p@ss")),
        ("redis://:p@ss@h", RedisAddress("single", hosts=(("h", 6379),), password="p@ss")),
        (
            "rediss://u:p@h/1?ssl_ca_certs=/ca.pem",
            RedisAddress(
                "single", True, (("h", 6379),), db=1, username="u", password="p", options=(("ssl_ca_certs", "/ca.pem"),)
            ),
        ),
        (
            "redis+sentinel://a:1,b/main/2",
            RedisAddress("sentinel", hosts=(("a", 1), ("b", 26379)), service="main", db=2),
        ),
        ("rediss+sentinel://a/main", RedisAddress("sentinel", True, (("a", 26379),), service="main")),
        ("redis+cluster://a:1,b:2", RedisAddress("cluster", hosts=(("a", 1), ("b", 2)))),
        ("rediss+cluster://a:1/0", RedisAddress("cluster", True, (("a", 1),))),
        ("unix:///run/redis.sock", RedisAddress("unix", path="/run/redis.sock")),
        ("unix://u:p@/run/r?db=2", RedisAddress("unix", path="/run/r", db=2, username="u", password="p")),
    ],
)
def test_addresses(url, address):
    assert parse_redis_url(url) == address
    assert "p@ss" not in repr(parse_redis_url(url))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:6379",
        "http://hunter22",
        "redis://",
        "redis:///0",
        "redis://hunter22:0",
        "redis://hunter22:65536",
        "redis://hunter22/x",
        "redis://hunter22/0/1",
        "redis://hunter22//1",
        "redis://hunter22/1/",
        "redis://hunter22@h",
        "redis://a,hunter22",
        "redis://h?socket_timeout=hunter22",
        "rediss://h?ssl_cert_reqs=none",
        "redis://h#hunter22",
        "redis://:hunter22/@h",
        "redis://h unter22",
        "redis://:hunter22?@h",
        "redis://:hunter22[@h",
        "redis://h?sentinel_password=hunter22",
        "redis+sentinel://hunter22",
        "redis+cluster://h/1",
        "unix://hunter22/run/r",
        "unix:///",
        "unix:///run/r?db=x",
        "unix:///run/r?x=1",
    ],
)
def test_what_is_no_address_is_told_without_showing_it(url):
    with pytest.raises(ValueError, match="; ") as caught:
        parse_redis_url(url)
    assert "hunter22" not in str(caught.value)


def test_the_file_is_held_to_it():
    [line] = lines(PROVIDER + ROUTE + "cache:\n  redis: redis://h:x\n  secret: secret-of-the-fleet")
    assert line == "4: cache.redis: the URL has no valid host and port; write redis://host:6379/0"


@pytest.mark.parametrize("login", [":p@s/s", ":pa/ss", ":pa#ss", ":p?a", "user:p[a"])
def test_a_login_that_is_not_encoded_is_told_how_to_be(login):
    with pytest.raises(ValueError, match="write @ as %40, / as %2F, # as %23") as told:
        parse_redis_url(f"redis://{login}@host:6379/0")
    assert login not in str(told.value)
