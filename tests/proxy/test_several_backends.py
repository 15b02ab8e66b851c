"""Two backends, one of which is dead in some way: what clients notice, what is said of it, and how it comes back."""

import asyncio
import ssl
from collections import Counter
from contextlib import asynccontextmanager, contextmanager

import aiohttp
import pytest
import trustme
from prometheus_client.parser import text_string_to_metric_families
from support.backend import HANG, RESET, Backend, Wait, ok, script
from support.full_queue import full
from support.running_gateway import eventually
from support.wire import request

FAST_HEALTH = {"path": "/healthz", "interval": "50ms", "timeout": "1s", "healthy_after": 1, "unhealthy_after": 1}


@asynccontextmanager
async def another(context: ssl.SSLContext | None = None):
    one = Backend(context)
    await one.start()
    try:
        yield one
    finally:
        await one.stop()


@pytest.fixture
async def bad():
    async with another() as one:
        yield one


async def statuses(gateway, count: int, method: str = "POST") -> Counter:
    return Counter([(await gateway.ask(request(method, "/open/x", body=b"hello"))).status for _ in range(count)])


async def metric(gateway, name: str, backend: Backend, outcome: str = "") -> float:
    """Of a backend on the route `open`."""
    async with aiohttp.ClientSession() as session, session.get(f"{gateway.admin_url}/metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
    labels = {"route": "open", "backend": f"http://127.0.0.1:{backend.port}"}
    labels |= {"outcome": outcome} if outcome else {}
    [found] = [one.value for family in families for one in family.samples if (one.name, one.labels) == (name, labels)]
    return found


def events(gateway, name: str) -> list[dict]:
    return [line for line in gateway.lines.all if line["event"] == name]


async def test_one_that_refuses_costs_nobody_anything(serve, backend, bad):
    await bad.stop()
    gateway = await serve(backend=[bad.url, backend.url])
    assert await statuses(gateway, 20) == {200: 20}
    # Three in a row, and then it is left alone for 10 s.
    label = f"http://127.0.0.1:{bad.port}"
    assert await metric(gateway, "gateway_backend_requests_total", bad, "connect_failed") == 3
    assert await metric(gateway, "gateway_backend_up", bad) == 0
    assert await metric(gateway, "gateway_backend_up", backend) == 1
    [line] = events(gateway, "backend_failing")
    assert (line["route"], line["backend"], line["level"]) == ("open", label, "warning")
    assert "3 times in a row: " in line["message"]
    assert line["reason"] == f"127.0.0.1:{bad.port} refused the connection"
    assert "refused the connection" in line["message"]
    assert {one["backend"] for one in gateway.lines.requests} == {f"http://127.0.0.1:{backend.port}"}


async def test_one_that_swallows_connections_costs_three_requests_their_time(serve, backend):
    with full() as silent:
        gateway = await serve(backend=[silent, backend.url], connect_timeout="200ms")
        assert await statuses(gateway, 20) == {200: 20}
        slow = [line for line in gateway.lines.requests if line["duration_ms"] > 190]
        assert len(slow) == 3


async def test_one_that_accepts_and_says_nothing_fails_three(serve, backend, bad):
    bad.default = script(HANG)
    gateway = await serve(backend=[bad.url, backend.url], timeout="200ms")
    assert await statuses(gateway, 20, "GET") == {200: 17, 504: 3}


@pytest.mark.parametrize("balance", ["round_robin", "least_requests"])
async def test_one_that_says_nothing_is_left_alone_before_the_first_time_out(serve, backend, bad, balance):
    """Twenty clients ask at once and go on. Were it asked at every turn, all of them would end up waiting for it."""
    bad.default = script(HANG)
    gateway = await serve(backend=[bad.url, backend.url], timeout="20s", balance=balance)

    async def client():
        for _ in range(10):
            await gateway.ask(request("GET", "/open/x"))

    clients = [asyncio.create_task(client()) for _ in range(20)]
    # At most those of the first moment, when neither has answered, wait for it.
    await eventually(lambda: sum(one.done() for one in clients) >= 10)
    assert len(bad.requests) <= 10
    for one in clients:
        one.cancel()
    await asyncio.gather(*clients, return_exceptions=True)


async def test_a_client_that_is_still_sending_makes_no_backend_be_left_alone(serve, backend, bad):
    """Sixteen slow uploads would otherwise send all other clients to one of the two backends."""
    bad.default = backend.default
    gateway = await serve(backend=[bad.url, backend.url], timeout="20s")
    begun = b"POST /open/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
    for _ in range(16):
        await (await gateway.client()).send(begun)
    await eventually(lambda: len(bad.requests) == len(backend.requests) == 8)
    assert await statuses(gateway, 4, "GET") == {200: 4}
    assert len(bad.requests) == len(backend.requests) == 10


async def test_without_outliers_one_that_says_nothing_is_asked_each_time(serve, backend, bad):
    bad.default = script(HANG)
    gateway = await serve(backend=[bad.url, backend.url], timeout="20s", outliers=None)
    clients = [asyncio.create_task(gateway.ask(request("GET", "/open/x"))) for _ in range(40)]
    await eventually(lambda: len(bad.requests) == 20)
    for one in clients:
        one.cancel()
    await asyncio.gather(*clients, return_exceptions=True)


async def test_one_that_resets_fails_three_that_are_not_idempotent(serve, backend, bad):
    bad.default = script(RESET)
    gateway = await serve(backend=[bad.url, backend.url])
    assert await statuses(gateway, 20) == {200: 17, 502: 3}


async def test_and_none_that_is(serve, backend, bad):
    bad.default = script(RESET)
    gateway = await serve(backend=[bad.url, backend.url])
    assert Counter([(await gateway.get("/open/x")).status for _ in range(20)]) == {200: 20}


async def test_an_answer_of_any_status_is_none_of_these(serve, backend, bad):
    bad.default = script(ok(status="500 Internal Server Error"))
    gateway = await serve(backend=[bad.url, backend.url])
    assert await statuses(gateway, 20) == {200: 10, 500: 10}
    assert events(gateway, "backend_failing") == []


async def test_a_client_that_leaves_is_no_failure(serve, backend, bad):
    bad.default = script(HANG)
    gateway = await serve(backend=[bad.url], outliers={"failures": 1})
    client = await gateway.client()
    await client.send(request("GET", "/open/x"))
    await bad.seen(1)
    await client.close()
    await gateway.log_line()
    assert await metric(gateway, "gateway_backend_requests_total", bad, "client_left") == 1
    assert await metric(gateway, "gateway_backend_up", bad) == 1


async def test_it_is_tried_again_and_comes_back(serve, backend, bad):
    port = bad.port
    await bad.stop()
    gateway = await serve(backend=[bad.url, backend.url], outliers={"failures": 1, "eject": "300ms"})
    await statuses(gateway, 4)
    await bad.start()
    assert bad.port == port
    await asyncio.sleep(0.35)
    assert await statuses(gateway, 10) == {200: 10}
    assert len(bad.requests) == 5
    assert len(events(gateway, "backend_answers")) == 1


async def test_while_it_is_tried_nobody_else_goes_there(serve, backend, bad):
    bad.default = script(RESET)
    gateway = await serve(backend=[bad.url, backend.url], outliers={"failures": 1, "eject": "200ms"}, timeout="10s")
    await statuses(gateway, 2)
    await asyncio.sleep(0.25)
    may_answer = asyncio.Event()
    bad.default = script(Wait(may_answer), ok(b"slow"))
    before = len(bad.requests)
    waiting = asyncio.create_task(statuses(gateway, 2))
    await bad.seen(before + 1)
    assert await statuses(gateway, 6) == {200: 6}
    assert len(bad.requests) == before + 1
    may_answer.set()
    assert await waiting == {200: 2}


async def test_without_outliers_it_is_asked_each_time(serve, backend, bad):
    bad.default = script(RESET)
    gateway = await serve(backend=[bad.url, backend.url], outliers=None)
    assert await statuses(gateway, 20) == {200: 10, 502: 10}


async def test_when_all_are_out_all_are_tried(serve, backend, bad):
    await bad.stop()
    await backend.stop()
    gateway = await serve(backend=[bad.url, backend.url], outliers={"failures": 1})
    assert await statuses(gateway, 4) == {502: 4}
    await backend.start()
    assert await statuses(gateway, 4) == {200: 4}


async def test_one_that_is_not_well_is_not_asked(serve, backend, bad):
    health = script(ok(status="503 Service Unavailable"))
    bad.default = lambda seen: health if seen.target == "/healthz" else script(ok(b"bad"))
    gateway = await serve(backend=[bad.url, backend.url], health=FAST_HEALTH)
    await eventually(lambda: events(gateway, "backend_failing"))
    before = sum(one.target != "/healthz" for one in bad.requests)
    assert await statuses(gateway, 20) == {200: 20}
    assert sum(one.target != "/healthz" for one in bad.requests) == before
    assert "/healthz is answered 503" in events(gateway, "backend_failing")[0]["message"]
    health = script(ok(b"well"))
    await eventually(lambda: events(gateway, "backend_answers"))
    await statuses(gateway, 4)
    assert sum(one.target != "/healthz" for one in bad.requests) == before + 2


async def test_one_that_answers_health_questions_and_fails_requests_is_out(serve, backend, bad):
    bad.default = lambda seen: script(ok(b"well")) if seen.target == "/healthz" else script(RESET)
    gateway = await serve(backend=[bad.url, backend.url], health=FAST_HEALTH)
    await eventually(lambda: len([one for one in bad.requests if one.target == "/healthz"]) > 2)
    assert (await statuses(gateway, 20))[502] == 3


async def test_health_is_asked_anew_after_a_reload_that_drops_it(serve, backend):
    gateway = await serve(health=FAST_HEALTH)
    await backend.seen(2)
    assert await gateway.reload(gateway.text.replace('"health"', '"timeout": "29s", "health"', 1))
    count = len(backend.requests)
    await backend.seen(count + 2)  # the route says the same of its backends, and the questions go on


# Which one is asked.


async def test_weights_count(serve, backend, bad):
    gateway = await serve(backend=[{"url": backend.url, "weight": 3}, bad.url])
    assert await statuses(gateway, 20) == {200: 20}
    assert (len(backend.requests), len(bad.requests)) == (15, 5)


async def test_the_one_with_the_fewest_requests_is_asked(serve, backend, bad):
    may_answer = asyncio.Event()
    bad.default = script(Wait(may_answer), ok(b"slow"))
    gateway = await serve(backend=[backend.url, bad.url], balance="least_requests")
    waiting = asyncio.create_task(statuses(gateway, 2))
    await bad.seen(1)
    assert await statuses(gateway, 8) == {200: 8}
    assert len(bad.requests) == 1
    may_answer.set()
    await waiting


@pytest.mark.parametrize(
    ("key", "line"),
    [("header:X-Tenant", "X-Tenant: {}"), ("cookie:tenant", "Cookie: other=1; tenant={}; last=2")],
)
async def test_one_value_goes_to_one_backend(serve, backend, bad, key, line):
    gateway = await serve(backend=[backend.url, bad.url], balance={"hash": key})
    for value in [*map(str, range(16))] * 3:
        await gateway.get("/open/x", line.format(value))
    assert len(backend.requests) + len(bad.requests) == 48
    place = {}
    for one in (backend, bad):
        values = {request.value("X-Tenant") or request.value("Cookie") for request in one.requests}
        assert not values & place.keys()
        place |= dict.fromkeys(values, one)
    assert set(place.values()) == {backend, bad}


async def test_without_a_value_they_take_turns(serve, backend, bad):
    gateway = await serve(backend=[backend.url, bad.url], balance={"hash": "header:X-Tenant"})
    await statuses(gateway, 10)
    assert len(backend.requests) == len(bad.requests) == 5


async def test_a_caller_has_one_backend(serve, backend, bad):
    gateway = await serve(backend=[backend.url, bad.url], balance={"hash": "sub"}, auth="required")
    for _ in range(6):
        assert (await gateway.get("/api/x", token="good")).status == 200
    assert sorted([len(backend.requests), len(bad.requests)]) == [0, 6]


# TLS.


@contextmanager
def authority(folder, name: str):
    made = trustme.CA()
    made.cert_pem.write_to_path(folder / f"{name}.pem")
    yield made


def context_of(ca: trustme.CA, host: str, clients: trustme.CA | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(host).configure_cert(context)
    if clients is not None:
        clients.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def test_an_authority_of_ones_own_is_believed_and_no_other(serve, tmp_path):
    with authority(tmp_path, "ca") as ca, authority(tmp_path, "other"):
        async with another(context_of(ca, "localhost")) as own:
            url = own.url
            for file, status in (("ca", 200), ("other", 502)):
                gateway = await serve(backend={"url": url, "tls": {"ca": str(tmp_path / f"{file}.pem")}})
                assert (await gateway.get("/open/x")).status == status
            assert "not trusted" in (await gateway.log_line())["reason"]


async def test_another_name_is_asked_for(serve, tmp_path):
    with authority(tmp_path, "ca") as ca:
        async with another(context_of(ca, "orders.internal")) as own:
            url, file = own.url, str(tmp_path / "ca.pem")
            for tls, status in (({"ca": file}, 502), ({"ca": file, "server_name": "orders.internal"}, 200)):
                gateway = await serve(backend={"url": url, "tls": tls})
                assert (await gateway.get("/open/x")).status == status


async def test_a_client_certificate_is_shown_by_its_route_alone(serve, tmp_path):
    with authority(tmp_path, "ca") as ca, authority(tmp_path, "clients") as clients:
        mine = clients.issue_cert("gateway.internal")
        mine.private_key_pem.write_to_path(tmp_path / "key.pem")
        mine.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
        async with another(context_of(ca, "localhost", clients)) as own:
            url, file = own.url, str(tmp_path / "ca.pem")
            shown = {"ca": file, "certificate": str(tmp_path / "cert.pem"), "key": str(tmp_path / "key.pem")}
            common = {"auth": "none", "retries": 0}
            gateway = await serve(
                routes=[
                    {"name": "with", "match": {"path": "/with"}, "backend": {"url": url, "tls": shown}, **common},
                    {
                        "name": "without",
                        "match": {"path": "/without"},
                        "backend": {"url": url, "tls": {"ca": file}},
                        **common,
                    },
                ]
            )
            # A connection that has shown the certificate is open, and the other route must not have it.
            assert [(await gateway.get(path)).status for path in ("/with", "/without", "/with")] == [200, 502, 200]


async def test_a_reload_reads_the_files_again_and_drops_connections_made_with_the_old_ones(serve, tmp_path):
    with authority(tmp_path, "ca") as ca:
        async with another(context_of(ca, "localhost")) as own:
            gateway = await serve(backend={"url": own.url, "tls": {"ca": str(tmp_path / "ca.pem")}})
            assert (await gateway.get("/open/x")).status == 200
            assert await gateway.reload(gateway.text.replace('"open"', '"opened"', 1))
            assert (await gateway.get("/open/x")).status == 200
            assert len(own.connections) == 1
            trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
            assert await gateway.reload(gateway.text.replace('"opened"', '"open"', 1))
            assert (await gateway.get("/open/x")).status == 502
