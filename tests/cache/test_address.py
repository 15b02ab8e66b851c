import pytest

from gateway.cache.address import RedisAddress, parse_redis_address

ADDRESSES = [
    ("redis://localhost", RedisAddress("single", (("localhost", 6379),))),
    ("redis://localhost:6380/3", RedisAddress("single", (("localhost", 6380),), db=3)),
    ("redis://[::1]:6380/", RedisAddress("single", (("::1", 6380),))),
    ("redis://:p%40ss@h:1", RedisAddress("single", (("h", 1),), password="p@ss")),
    ("rediss://u:p@h:1", RedisAddress("single", (("h", 1),), tls=True, username="u", password="p")),
    (
        "rediss://h:1/0?ssl_ca_certs=/run/ca.pem",
        RedisAddress("single", (("h", 1),), tls=True, options={"ssl_ca_certs": "/run/ca.pem"}),
    ),
    ("unix:///run/redis.sock", RedisAddress("single", path="/run/redis.sock")),
    ("unix://u:p@/r.sock?db=2", RedisAddress("single", path="/r.sock", db=2, username="u", password="p", options={"db": "2"})),
    ("redis+sentinel://a:1,b/main", RedisAddress("sentinel", (("a", 1), ("b", 26379)), service="main")),
    ("redis+sentinel://u:p@a:1/main/4", RedisAddress("sentinel", (("a", 1),), service="main", db=4, username="u", password="p")),
    ("rediss+sentinel://a:1/main", RedisAddress("sentinel", (("a", 1),), service="main", tls=True)),
    ("redis+cluster://a:1,b:2", RedisAddress("cluster", (("a", 1), ("b", 2)))),
    ("rediss+cluster://:p@a:1", RedisAddress("cluster", (("a", 1),), tls=True, password="p")),
]  # fmt: skip


@pytest.mark.parametrize(("url", "address"), ADDRESSES, ids=[url for url, _ in ADDRESSES])
def test_an_address_says_where_redis_is(url: str, address: RedisAddress) -> None:
    assert parse_redis_address(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:6379",
        "http://localhost",
        "unix+cluster:///x",
        "redis://",
        "redis://h:99999",
        "redis://h:x",
        "redis://a,b",
        "redis://h/x",
        "redis://h/1/2",
        "redis://h/0#x",
        "redis://h?retry=9",
        "redis://[::1",
        "unix://host/path",
        "unix:",
        "redis+sentinel://h:1",
        "redis+sentinel://h:1/",
        "redis+sentinel://h:1/main/x",
        "redis+sentinel://h:1/main/0/0",
        "redis+cluster://h:1/3",
        "redis+cluster://h:1,",
    ],
)
def test_what_is_no_address_is_an_error_that_says_what_to_write(url: str) -> None:
    with pytest.raises(ValueError, match="; write "):
        parse_redis_address(url)


def test_neither_the_address_nor_an_error_shows_the_password() -> None:
    assert "hunter2" not in repr(parse_redis_address("redis://user:hunter2@h:1?ssl_keyfile=hunter2"))
    for url in (
        "redis://user:hunter2@h:x",
        "redis://user:hunter2/x@h:1",
        "redis://user:x/hunter2@h:1",
        "redis://user:x?hunter2@h:1",
        "redis://user:x#hunter2@h:1",
        "redis+sentinel://:hunter2@h:1",
    ):
        with pytest.raises(ValueError, match="write") as caught:
            parse_redis_address(url)
        assert "hunter2" not in str(caught.value)
