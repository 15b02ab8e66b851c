"""The fields of limits on whatever a client gets, in both lanes and from the decisions listener."""

import re

import pytest
from support.backend import ok, script
from support.wire import Client, request

LIMITS = {"u": {"rate": "50/1m", "burst": 40}, "a": {"rate": "30/1h", "by": "address"}}
# Lists of strings with whole numbers as parameters (RFC 9651 §3.1; RateLimit header fields §3, §4).
_POLICY = re.compile(r'"[\w.:-]+";q=([0-9]{1,15});w=([1-9][0-9]{0,14})')
_LEFT = re.compile(r'"([\w.:-]+)";r=([0-9]{1,15});t=([1-9][0-9]{0,14})')


@pytest.fixture
async def gateway(serve, backend):
    both = {"backend": backend.url, "limits": ["u", "a"]}
    routes = [
        {"name": "api", "match": {"path": "/api/**"}, **both, "max_body": "1KiB"},
        {"name": "staff", "match": {"path": "/staff/**"}, **both, "auth": {"groups": ["staff"]}},
        {"name": "broken", "match": {"path": "/broken/**"}, **both, "backend": "http://127.0.0.1:1", "retries": 0},
        {"name": "decided", "match": {"path": "/decided/**"}, "limits": ["u", "a"]},
    ]
    return await serve(routes, top={"limits": LIMITS, "decisions": {"listen": "127.0.0.1:0"}})


def left_in(answer) -> dict[str, tuple[int, int]]:
    """What is left of each limit, and in how many seconds there is more; each field must be there once."""
    assert answer.value("RateLimit-Policy") == '"u";q=50;w=60, "a";q=30;w=3600', answer
    assert all(_POLICY.fullmatch(item) for item in answer.value("RateLimit-Policy").split(", "))
    items = [_LEFT.fullmatch(item) for item in answer.value("RateLimit").split(", ")]
    assert all(items), answer
    return {item[1]: (int(item[2]), int(item[3])) for item in items}


@pytest.mark.parametrize(
    "status", ["200 OK", "204 No Content", "304 Not Modified", "302 Found", "404 Not Found", "503 Service Unavailable"]
)
async def test_whatever_the_backend_answers(gateway, backend, status) -> None:
    wire = f"HTTP/1.1 {status}\r\n\r\n".encode() if status[:3] in {"204", "304"} else ok(b"x", status=status)
    backend.answers.append(script(wire))
    answer = await gateway.get("/api/x", token="good")
    assert answer.status == int(status[:3])
    assert left_in(answer) == {"u": (39, 2), "a": (29, 120)}


@pytest.mark.parametrize(
    ("wire", "method", "status", "left"),
    [
        (request("HEAD", "/api/x", token="good"), "HEAD", 200, 39),
        (request("POST", "/api/x", token="good", body=b"small"), "POST", 200, 39),
        (request("POST", "/api/x", token="good", body=b"x" * 2000), "POST", 413, 40),
        (request("GET", "/staff/x", token="good"), "GET", 403, 40),
        (request("GET", "/broken/x", token="good"), "GET", 502, 39),
    ],
    ids=["HEAD", "POST", "too large", "not in the group", "no backend"],
)
async def test_whatever_the_gateway_answers_to_a_caller_it_knows(gateway, wire, method, status, left) -> None:
    async with await Client.of(gateway.address) as client:
        await client.send(wire)
        answer = await client.answer(method)
    assert (answer.status, left_in(answer)["u"][0]) == (status, left)


async def test_a_caller_it_does_not_know_is_told_of_its_address_alone(gateway) -> None:
    answer = await gateway.get("/api/x", token="junk")
    assert (answer.status, answer.value("RateLimit"), answer.value("RateLimit-Policy")) == (
        401,
        '"a";r=30;t=1',
        '"a";q=30;w=3600',
    )


async def test_what_a_backend_says_of_its_own_limits_stays(gateway, backend) -> None:
    own = ('RateLimit-Policy: "its";q=9;w=9', 'RateLimit: "its";r=8;t=9')
    backend.answers.append(script(ok(b"", *own)))
    answer = await gateway.get("/api/x", token="good")
    assert answer.values("RateLimit") == ['"its";r=8;t=9', '"u";r=39;t=2, "a";r=29;t=120']
    assert answer.values("RateLimit-Policy") == ['"its";q=9;w=9', '"u";q=50;w=60, "a";q=30;w=3600']


async def test_retry_after_is_not_before_there_is_more_of_the_limit_that_refuses(gateway) -> None:
    answers = [await gateway.get("/api/x", token="good") for _ in range(31)]
    assert [answer.status for answer in answers] == [200] * 30 + [429]
    refused = left_in(answers[-1])
    assert refused["u"][0] == 10
    assert refused["a"][0] == 0
    assert int(answers[-1].value("Retry-After")) >= refused["a"][1] > 110


async def test_the_decisions_listener_tells_other_proxies_the_same(gateway) -> None:
    def told(path: str) -> bytes:
        lines = ("X-Forwarded-Method: GET", f"X-Forwarded-Uri: {path}", "X-Forwarded-Host: api.example.com")
        return request("GET", "/", *lines, token="good")

    async with await Client.of(gateway.decisions_address) as proxy:
        for left in (39, 38):
            await proxy.send(told("/decided/x"))
            answer = await proxy.answer()
            assert (answer.status, left_in(answer)["u"][0]) == (200, left)
        await proxy.send(told("/staff/x"))
        answer = await proxy.answer()
        assert (answer.status, left_in(answer)["u"][0]) == (403, 38)
        for _ in range(29):
            await proxy.send(told("/decided/x"))
            answer = await proxy.answer()
        assert (answer.status, left_in(answer)["a"][0]) == (429, 0)
        assert int(answer.value("Retry-After")) >= left_in(answer)["a"][1]
