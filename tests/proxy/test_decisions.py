"""The decisions listener: what other proxies ask, and what they are answered. Each test is run over both lanes."""

import base64
import json
from hashlib import sha256

import pytest
import trustme
from support.dpop import Prover
from support.running_gateway import eventually
from support.wire import Client, request

from gateway.config.identity_key import new_private_pem

DECISIONS = {"decisions": {"listen": "127.0.0.1:0"}}
HEADERS = {"X-User-Id": "sub", "X-Roles": "realm_access.roles"}
OTHER_HEADERS = {"X-User-Name": "username"}


def routes(backend, **api):
    return [
        {"name": "api", "match": {"path": "/api/**"}, "identity": {"headers": HEADERS}, **api},
        {"name": "any", "match": {"path": "/any/**"}, "auth": "optional", "identity": {"headers": HEADERS}},
        {"name": "open", "match": {"path": "/open/**"}, "auth": "none", "identity": {"headers": OTHER_HEADERS}},
        {"name": "served", "match": {"path": "/served/**"}, "backend": backend.url, "auth": "none"},
        {"name": "admins", "match": {"path": "/admin/**"}, "auth": {"scopes": ["admin"]}},
    ]


def by_forwarded(method, uri, *lines, host="api.example.com", **more):
    told = (f"X-Forwarded-Method: {method}", f"X-Forwarded-Uri: {uri}", f"X-Forwarded-Host: {host}")
    return request("GET", "/", *told, *lines, **more)


def by_original(method, uri, *lines, host="api.example.com", **more):
    return request("GET", "/", f"X-Original-Method: {method}", f"X-Original-URL: https://{host}{uri}", *lines, **more)


def by_itself(method, uri, *lines, host="api.example.com", **more):
    return request(method, f"/envoy{uri}", *lines, host=host, **more)


WAYS = [by_forwarded, by_original, by_itself]


@pytest.fixture(params=WAYS, ids=lambda way: way.__name__)
def tell(request):
    return request.param


@pytest.fixture
async def gateway(serve, backend):
    return await serve(routes(backend), top=DECISIONS)


@pytest.fixture
async def proxy(gateway):
    async with await Client.of(gateway.decisions_address) as client:
        yield client


async def asked(proxy, wire, method="GET"):
    await proxy.send(wire)
    return await proxy.answer(method)


def answered(answer):
    """The fields that a proxy copies; each is there exactly once."""
    assert (answer.status, answer.body) == (200, b"")
    names = ["X-User-Id", "X-Roles", "X-User-Name", "X-Client-Id", "X-Scopes", "Authorization"]
    assert {name: len(answer.values(name)) for name in names} == dict.fromkeys(names, 1)
    return {name: answer.value(name) for name in names if answer.value(name)}


async def test_a_good_token_is_let_in_and_the_backend_is_told_who_it_is(proxy, tell):
    answer = await asked(proxy, tell("GET", "/api/x", token="good"))
    assert answered(answer) == {"X-User-Id": "alice", "X-Roles": "manager,clerk"}
    assert answer.value("Cache-Control") == "no-store"


async def test_nobody_is_named_where_no_token_is_looked_at(proxy, tell):
    for path in ("/open/x", "/any/x", "/served/x"):
        assert answered(await asked(proxy, tell("GET", path, "X-User-Id: root", "X-Roles: admin"))) == {}


async def test_what_a_client_forged_is_answered_with_its_own(proxy, tell):
    answer = await asked(proxy, tell("GET", "/api/x", "X-User-Id: root", "x-user-name: root", token="good"))
    assert answered(answer) == {"X-User-Id": "alice", "X-Roles": "manager,clerk"}


@pytest.mark.parametrize("name", ["X_User_Id", "X.User.Id", "X!User!Id", "XUserId", "Author.ization"])
async def test_another_spelling_of_an_identity_header_is_refused(proxy, tell, name):
    answer = await asked(proxy, tell("GET", "/open/x", f"{name}: root"))
    assert (answer.status, answer.code) == (400, "invalid_request")


@pytest.mark.parametrize("path", ["/api/x", "/any/x"])
async def test_the_refusal_is_the_one_that_the_client_would_get(proxy, tell, gateway, provider, path):
    answer = await asked(proxy, tell("GET", path, token="bad"))
    assert (answer.status, answer.code) == (401, "invalid_token")
    assert answer.value("WWW-Authenticate").startswith('Bearer realm="gateway", error="invalid_token"')


async def test_a_missing_token_scope_or_route_is_refused_with_its_code(proxy, tell):
    for wire, status, code in [
        (tell("GET", "/api/x"), 401, "token_missing"),
        (tell("GET", "/admin/x", token="good"), 403, "insufficient_scope"),
        (tell("GET", "/nowhere"), 404, "no_route"),
        (tell("GET", "/api/x", "Authorization: Bearer a", token="good"), 400, "invalid_request"),
    ]:
        answer = await asked(proxy, wire)
        assert (answer.status, answer.code) == (status, code)


PATHS = ["/api//x", "/api/..;/admin", "/api/%2e%2e/x", "/api/a%2Fb", "/api/x;v=1", "/api/%zz", "/api/x#f", "api/x", "*"]


@pytest.mark.parametrize("path", [*PATHS, "/api/a b", "/api/ü", "/api/\\x"])
async def test_a_path_that_two_could_read_differently_is_refused(proxy, path):
    for tell in (by_forwarded, *((by_original,) if path.startswith("/") else ())):
        answer = await asked(proxy, tell("GET", path, token="good"))
        assert (answer.status, answer.code) == (400, "invalid_target")


@pytest.mark.parametrize("host", ["", "a b", "user@api.example.com", "api.example.com, b", "0177.0.0.1", "a:99999"])
async def test_a_host_that_is_none_is_refused(proxy, host):
    answer = await asked(proxy, by_forwarded("GET", "/api/x", host=host, token="good"))
    assert (answer.status, answer.code) == (400, "invalid_request")


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "get", "GE T", "", "GET, POST"])
async def test_a_method_that_is_none_or_not_served_is_refused(proxy, method):
    for tell in (by_forwarded, by_original):
        answer = await asked(proxy, tell(method, "/api/x", token="good"))
        assert (answer.status, answer.code) == (400, "invalid_request")


async def test_two_ways_at_once_and_none_are_refused(proxy):
    for wire in (
        request("GET", "/", token="good"),
        request("GET", "/api/x", token="good"),
        by_forwarded("GET", "/api/x", "X-Original-URL: https://api.example.com/open/x", token="good"),
        by_original("GET", "/api/x", "X-Forwarded-Uri: /open/x", token="good"),
        by_original("GET", "/api/x", "X-Original-URL: https://api.example.com/open/x", token="good"),
        by_itself("GET", "/api/x", "X-Forwarded-Uri: /open/x", token="good"),
    ):
        answer = await asked(proxy, wire)
        assert (answer.status, answer.code) == (400, "invalid_request")


async def test_refusals_do_not_cost_the_proxy_its_connection(proxy, tell):
    for path in ("/api//x", "/nowhere", "/api/x"):
        assert (await asked(proxy, tell("GET", path))).value("Connection") is None
    assert (await asked(proxy, tell("GET", "/api/x", token="good"))).status == 200


async def test_a_method_counts_as_it_was_told(serve, backend):
    only_get = [{"name": "r", "match": {"path": "/r", "methods": ["GET"]}, "auth": "none"}]
    gateway = await serve(only_get, top=DECISIONS)
    async with await Client.of(gateway.decisions_address) as proxy:
        assert (await asked(proxy, by_forwarded("GET", "/r"))).status == 200
        assert (await asked(proxy, by_forwarded("HEAD", "/r"))).status == 200
        answer = await asked(proxy, by_forwarded("DELETE", "/r"))
        assert (answer.status, answer.code, answer.value("Allow")) == (405, "method_not_allowed", "GET, HEAD")
    line = await gateway.log_line(3)
    assert (line["method"], line["path"], line["status"]) == ("DELETE", "/r", 405)


async def test_a_head_subrequest_gets_no_body_and_a_told_head_gets_one(proxy):
    told = ("X-Forwarded-Method: GET", "X-Forwarded-Uri: /nowhere", "X-Forwarded-Host: a")
    await proxy.send(request("HEAD", "/", *told))
    assert (await proxy.answer("HEAD")).status == 404
    answer = await asked(proxy, by_forwarded("HEAD", "/nowhere"))
    assert (answer.status, answer.code) == (404, "no_route")


async def test_no_body_is_read(gateway):
    for lines in (("Content-Length: 1000000",), ("Transfer-Encoding: chunked",), ("Content-Length: 10",)):
        async with await Client.of(gateway.decisions_address) as proxy:
            answer = await asked(proxy, by_forwarded("PUT", "/api/x", *lines, token="good"))
            assert answered(answer)["X-User-Id"] == "alice"
            assert answer.value("Connection") == "close"


async def test_a_body_that_came_at_once_is_no_request(proxy):
    wire = by_forwarded("PUT", "/api/x", token="good", body=by_forwarded("GET", "/open/x"))
    answer = await asked(proxy, wire)
    assert answered(answer)["X-User-Id"] == "alice"
    await proxy.send(by_forwarded("GET", "/nowhere"))
    rest = await proxy.rest() if answer.value("Connection") == "close" else (await proxy.answer()).body
    assert b"no_route" in rest or rest == b""


async def test_a_control_character_in_what_is_told_is_refused(gateway):
    for character in "\x00\x01\x7f":
        async with await Client.of(gateway.decisions_address) as proxy:
            answer = await asked(proxy, by_forwarded("GET", f"/api/{character}", token="good"))
            assert (answer.status, answer.code) == (400, "invalid_request")


async def test_an_upgrade_is_decided_as_any_get(gateway, tell):
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: eA==")
    for token, status in (("good", 200), (None, 401)):
        async with await Client.of(gateway.decisions_address) as proxy:
            assert (await asked(proxy, tell("GET", "/api/x", *upgrade, token=token))).status == status


async def test_a_preflight_is_decided_as_any_options(serve, backend):
    cors = {"allow_origins": ["https://app.example.com"]}
    served = [{"name": "served", "match": {"path": "/served/**"}, "backend": backend.url, "cors": cors}]
    gateway = await serve(served, top=DECISIONS)
    preflight = ("Origin: https://app.example.com", "Access-Control-Request-Method: GET")
    async with await Client.of(gateway.decisions_address) as proxy:
        answer = await asked(proxy, by_forwarded("OPTIONS", "/served/x", *preflight))
        assert (answer.status, answer.code) == (401, "token_missing")
        assert answer.value("Access-Control-Allow-Origin") == "https://app.example.com"
    assert (await gateway.ask(request("OPTIONS", "/served/x", *preflight), "OPTIONS")).status == 204


async def test_the_caller_s_token_goes_on_where_the_route_keeps_it(serve, backend):
    kept = [
        {"name": "kept", "match": {"path": "/kept"}, "authorization": "keep"},
        {"name": "set", "match": {"path": "/set"}, "request_headers": {"set": {"Authorization": "Basic eDp5"}}},
        {"name": "stripped", "match": {"path": "/stripped"}},
    ]
    gateway = await serve(kept, top=DECISIONS)
    async with await Client.of(gateway.decisions_address) as proxy:
        for path, value in (("/kept", "Bearer good"), ("/set", "Basic eDp5"), ("/stripped", "")):
            answer = await asked(proxy, by_forwarded("GET", path, token="good"))
            assert (answer.status, answer.values("Authorization")) == (200, [value])


async def test_the_public_listener_has_no_route_without_a_backend(gateway, backend):
    assert (await gateway.get("/api/x", token="good")).code == "no_route"
    assert (await gateway.get("/open/x")).code == "no_route"
    backend.default = lambda _: None
    async with await Client.of(gateway.address) as client:
        await client.send(by_forwarded("GET", "/open/x"))
        assert (await client.answer()).code == "no_route"


async def test_facts_record_and_counts_are_those_of_the_gateway(gateway, proxy, provider):
    for wire in (
        by_forwarded("GET", "/api/x?token=secret", token="good"),
        by_original("GET", "/admin/x", token="good"),
    ):
        await asked(proxy, wire)
    assert len(provider.introspections) == 1
    first, second = await gateway.log_line(), await gateway.log_line(2)
    assert (first["route"], first["path"], first["status"], first["subject"]) == ("api", "/api/x", 200, "alice")
    assert (second["route"], second["status"], second["code"]) == ("admins", 403, "insufficient_scope")


async def test_the_client_is_the_one_that_the_proxy_saw(gateway, proxy):
    await asked(proxy, by_forwarded("GET", "/open/x", "X-Forwarded-For: 6.6.6.6, 203.0.113.7"))
    assert (await gateway.log_line())["client"] == "203.0.113.7"
    await asked(proxy, by_forwarded("GET", "/open/x"))
    assert (await gateway.log_line(2))["client"] == "127.0.0.1"


async def test_the_proxy_s_request_id_is_the_request_s(gateway, proxy):
    assert (await asked(proxy, by_forwarded("GET", "/open/x", "X-Request-Id: abc"))).value("X-Request-Id") == "abc"
    assert (await asked(proxy, by_forwarded("GET", "/nowhere", "X-Request-Id: def"))).problem["request_id"] == "def"


async def test_a_provider_that_is_away_is_503(gateway, proxy, tell, provider):
    await provider.stop()
    answer = await asked(proxy, tell("GET", "/api/x", token="unseen"))
    assert (answer.status, answer.code) == (503, "introspection_unavailable")
    assert answer.value("Retry-After")
    await provider.start()


async def test_a_proxy_that_leaves_while_the_provider_is_asked_leaves_nothing(gateway, provider):
    provider.delay_s = 0.2
    client = await Client.of(gateway.decisions_address)
    await client.send(by_forwarded("GET", "/api/x", token="good"))
    await provider.wait_for_calls()
    await client.close()
    await eventually(lambda: gateway.service._observation.requests_in_flight == 0)


async def test_it_is_on_a_unix_socket_too(serve, backend, tmp_path):
    path = tmp_path / "decisions.sock"
    gateway = await serve(routes(backend), top={"decisions": {"listen": f"unix:{path}"}})
    async with await Client.of(str(path)) as proxy:
        assert answered(await asked(proxy, by_forwarded("GET", "/api/x", token="good")))["X-User-Id"] == "alice"
    await gateway.stop()
    assert not path.exists()


async def test_a_reload_changes_the_routes_and_not_the_place(gateway, proxy):
    document = json.loads(gateway.text)
    document["routes"] = [{"name": "api", "match": {"path": "/api/**"}, "auth": "none"}]
    assert await gateway.reload(json.dumps(document))
    assert (await asked(proxy, by_forwarded("GET", "/api/x"))).status == 200
    document["decisions"] = {"listen": "127.0.0.2:0"}
    gateway.expects_errors = True
    assert not await gateway.reload(json.dumps(document))
    assert "decisions.listen changed from 127.0.0.1:0 to 127.0.0.2:0" in gateway.lines.errors[-1]["message"]
    del document["decisions"]
    document["routes"][0]["backend"] = "http://127.0.0.1:1"
    assert not await gateway.reload(json.dumps(document))


async def test_subrequests_behind_one_another_are_answered_in_turn(proxy):
    await proxy.send(by_forwarded("GET", "/api/x", token="good") + by_forwarded("GET", "/nowhere"))
    assert [(await proxy.answer()).status for _ in range(2)] == [200, 404]


@pytest.mark.parametrize("token", ["good", "bad"])
@pytest.mark.parametrize(
    ("version", "lines", "option"),
    [
        ("1.1", (), None),
        ("1.1", ("Connection: close",), "close"),
        ("1.0", (), "close"),
        ("1.0", ("Connection: keep-alive",), "keep-alive"),
    ],
)
async def test_each_answer_says_whether_the_connection_stays(gateway, provider, token, version, lines, option):
    provider.answers["bad"] = {"active": False}
    async with await Client.of(gateway.decisions_address) as proxy:
        answer = await asked(proxy, by_forwarded("GET", "/api/x", *lines, token=token, version=version))
        assert answer.status == (200 if token == "good" else 401)
        assert answer.values("Connection") == ([] if option is None else [option])
        if option == "close":
            assert await proxy.rest() == b""
        else:
            assert (await asked(proxy, by_forwarded("GET", "/open/x"))).status == 200


async def test_a_header_that_had_the_token_is_emptied(serve):
    places = {"token_from": ["authorization", {"header": "X-Access-Token"}]}
    gateway = await serve([{"name": "api", "match": {"path": "/api/**"}, "auth": places}], top=DECISIONS)
    async with await Client.of(gateway.decisions_address) as proxy:
        answer = await asked(proxy, by_forwarded("GET", "/api/x", "X-Access-Token: good"))
        assert (answer.status, answer.values("X-User-Id"), answer.values("X-Access-Token")) == (200, ["alice"], [""])


async def test_a_proof_is_held_against_the_request_that_was_told(gateway, proxy, provider, tell):
    prover = Prover()
    provider.answers["bound"] = {"active": True, "sub": "alice", "token_type": "DPoP", "cnf": {"jkt": prover.jkt}}
    scheme = "http" if tell is by_itself else "https"
    for method, url, status in [
        ("GET", f"{scheme}://api.example.com/api/x", 200),
        ("PUT", f"{scheme}://api.example.com/api/x", 401),
        ("GET", f"{scheme}://api.example.com/api/y", 401),
        ("GET", f"{scheme}://other.example/api/x", 401),
    ]:
        proof = ("Authorization: DPoP bound", f"DPoP: {prover.proof(method, url, 'bound')}")
        told = () if tell is not by_forwarded else ("X-Forwarded-Proto: https",)
        answer = await asked(proxy, tell("GET", "/api/x", *proof, *told))
        assert answer.status == status
        if status == 401:
            assert answer.code == "invalid_dpop_proof"
            assert [value.partition(" ")[0] for value in answer.values("WWW-Authenticate")] == ["Bearer", "DPoP"]


async def test_a_certificate_is_the_one_that_the_proxy_names(serve, backend, provider):
    pem = trustme.CA().issue_cert("c.example").cert_chain_pems[0].bytes()
    der = base64.b64decode(b"".join(pem.split(b"\n")[1:-2]))
    thumbprint = base64.urlsafe_b64encode(sha256(der).digest()).rstrip(b"=").decode()
    provider.answers["bound"] = {"active": True, "sub": "alice", "cnf": {"x5t#S256": thumbprint}}
    header = {"client_certificate_header": {"name": "Client-Cert", "form": "rfc9440"}}
    gateway = await serve(routes(backend), server=header, top=DECISIONS)
    async with await Client.of(gateway.decisions_address) as proxy:
        named = f"Client-Cert: :{base64.b64encode(der).decode()}:"
        assert (await asked(proxy, by_forwarded("GET", "/api/x", named, token="bound"))).status == 200
        assert (await asked(proxy, by_forwarded("GET", "/api/x", token="bound"))).code == "invalid_token"


async def test_what_is_let_in_spends_a_limit_and_what_is_refused_does_not(serve):
    limited = [
        {"name": "api", "match": {"path": "/api/**"}, "limits": ["few"]},
        {"name": "admins", "match": {"path": "/admin/**"}, "limits": ["few"], "auth": {"scopes": ["admin"]}},
    ]
    limits = {"few": {"rate": "2/1h", "by": "sub"}}
    gateway = await serve(limited, top={**DECISIONS, "limits": limits})
    async with await Client.of(gateway.decisions_address) as proxy:
        for _ in range(3):
            assert (await asked(proxy, by_forwarded("GET", "/admin/x", token="good"))).status == 403
        for left in (1, 0):
            answer = await asked(proxy, by_forwarded("GET", "/api/x", token="good"))
            assert answer.status == 200
            assert f";r={left};" in answer.value("RateLimit")
        answer = await asked(proxy, by_forwarded("GET", "/api/x", token="good"))
        assert (answer.status, answer.code) == (429, "rate_limited")
        assert answer.value("Retry-After")


async def test_another_proxy_gets_the_signed_identity_under_its_name(serve, backend, tell, tmp_path) -> None:
    (tmp_path / "key.pem").write_text(new_private_pem("ES256"))
    signing = {"key_file": str(tmp_path / "key.pem"), "issuer": "https://gateway.example.com"}
    gateway = await serve(
        routes(backend, identity={"headers": HEADERS, "token": {"audience": "api"}, "answer": "X-Answer"}),
        top={**DECISIONS, "signing": signing},
    )
    async with await Client.of(gateway.decisions_address) as proxy:
        answer = await asked(proxy, tell("GET", "/api/x", token="good"))
        elsewhere = await asked(proxy, tell("GET", "/open/x"))
    assert (answer.status, answer.value("X-Identity-Token").count("."), answer.value("X-Answer")[:2]) == (200, 2, "ey")
    assert (elsewhere.value("X-Identity-Token"), elsewhere.value("X-Answer")) == ("", "")


async def test_an_answer_that_is_too_large_is_empty_and_the_operator_is_told_once(serve, backend, tell, provider):
    provider.answers["good"]["much"] = "a" * 9000
    gateway = await serve(routes(backend, identity={"headers": HEADERS, "answer": "X-Answer"}), top=DECISIONS)
    async with await Client.of(gateway.decisions_address) as proxy:
        for _ in range(2):
            assert (await asked(proxy, tell("GET", "/api/x", token="good"))).values("X-Answer") == [""]
    told = [line["route"] for line in gateway.lines.all if line["event"] == "identity_answer_left_out"]
    assert told == ["api"]
