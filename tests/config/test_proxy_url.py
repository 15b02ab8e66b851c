from pathlib import Path

import pytest
from support.configuration import ROUTE, lines, loaded

from gateway.config.proxy_url import ForwardProxy, parse_proxy_url

PROVIDER = "providers: {p: {issuer: https://a, client_id: gw, client_secret: hush-hush, %s}}\n"


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://proxy:3128", ForwardProxy("http://proxy:3128")),
        ("http://proxy", ForwardProxy("http://proxy:80")),
        ("http://proxy:3128/", ForwardProxy("http://proxy:3128")),
        ("http://[::1]:8080", ForwardProxy("http://[::1]:8080")),
        ("http://u:p%40s%3A%2f@proxy:1", ForwardProxy("http://proxy:1", "u", "p@s:/")),
        ("http://u@proxy:1", ForwardProxy("http://proxy:1", "u", "")),
    ],
)
def test_proxies(url: str, proxy: ForwardProxy) -> None:
    assert parse_proxy_url(url) == proxy
    assert "p@s" not in repr(parse_proxy_url(url))


@pytest.mark.parametrize(
    "url",
    [
        "hunter2",
        "proxy:3128",
        "https://u:hunter2@proxy:3128",
        "socks5://u:hunter2@proxy:1080",
        "http://u:hunter2@",
        "http://u:hunter2@proxy:0",
        "http://u:hunter2@proxy:65536",
        "http://u:hunter2@proxy:3128/path",
        "http://u:hunter2@proxy:3128?x",
        "http://u:hunter2@a@proxy",
        "http://u:hun/ter2@proxy",
        "http://:hunter2@proxy",
        "http://u:hunter2%@proxy",
        "http://u:hunter2%0d%0a@proxy",
        "http://u%3aq:hunter2@proxy",
        "http://u:hunter2@pro xy",
        "http://u:hunter2@proxy:3128\n",
    ],
)
def test_what_is_not_one_is_refused_and_not_shown(url: str) -> None:
    [line] = lines(PROVIDER % f"proxy: {url!r}" + ROUTE)
    assert line.startswith("1: providers.p.proxy: ")
    assert "write http://" in line
    assert "hunter2" not in line


def test_it_may_come_from_a_file_and_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "proxy").write_text("http://u:hunter2@proxy:3128\n")
    config = loaded(PROVIDER % "proxy_file: proxy" + ROUTE, directory=tmp_path)
    proxy = config.providers["p"].proxy
    assert proxy is not None
    assert proxy.get_secret_value() == "http://u:hunter2@proxy:3128"
    assert "hunter2" not in repr(config)
    [line] = lines(PROVIDER % "proxy_file: proxy, proxy: http://q" + ROUTE, directory=tmp_path)
    assert "hunter2" not in line
