"""`gateway serve` between a real Keycloak and a backend that says what reached it."""

import http.server
import json
import shutil
import subprocess
import threading
from dataclasses import dataclass

import pytest
from support.keycloak import free_ports
from support.needed import missing
from support.served import COMMAND, served

from gateway.provider.grants import Password, TokenExchange

ALICE = Password("alice", "alice")
BOB = Password("bob", "bob")
ADMIN = {"Authorization": "Bearer admin-token-of-the-tests"}

CONFIG = """
server: {{listen: 127.0.0.1:{port}}}
admin: {{listen: 127.0.0.1:{admin_port}, token: admin-token-of-the-tests}}
providers:
  keycloak: {{issuer: "{issuer}", client_id: gateway, client_secret_file: client_secret, timeout: 60s}}
cache: {{ttl: 60s}}
routes:
  - {{name: public, match: {{path: /public/**}}, backend: "http://127.0.0.1:{backend}", auth: none}}
  - name: orders
    match: {{path: /orders/**}}
    backend: http://127.0.0.1:{backend}
    auth: {{scopes: [orders:read], audience: [orders-api]}}
  - name: approvals
    match: {{path: /approvals/**}}
    backend: http://127.0.0.1:{backend}
    auth: {{audience: [orders-api], roles: [manager, "orders-api:auditor"]}}
"""


@dataclass(frozen=True, slots=True)
class Served:
    url: str
    admin: str
    config: str


class Echo(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def backend():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def gate(keycloak, backend, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gateway")
    folder.joinpath("client_secret").write_text("demo-gateway-secret\n")
    port, admin_port = free_ports(2)
    config = folder / "gateway.yaml"
    config.write_text(CONFIG.format(port=port, admin_port=admin_port, issuer=keycloak.issuer, backend=backend))
    with served(config, admin_port):
        yield Served(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{admin_port}", str(config))


@pytest.fixture
def call(http, gate):
    """GET a path with an access token; the status and the JSON of the answer."""

    async def get(path, tokens=None, **headers):
        if tokens:
            headers["Authorization"] = f"Bearer {tokens['access_token']}"
        async with http.get(gate.url + path, headers=headers) as response:
            return response.status, await response.json(content_type=None)

    return get


async def test_without_a_token_there_is_a_401_but_on_the_open_route(call):
    status, _ = await call("/public/x")
    assert status == 200
    status, answer = await call("/orders/1")
    assert (status, answer["code"]) == (401, "token_missing")


async def test_the_backend_is_told_who_is_calling_and_not_with_what(call, app):
    tokens = await app.token(ALICE, "orders:read")
    status, answer = await call("/orders/1", tokens, **{"X-User-Name": "mallory", "X_User_Id": "0"})
    seen = answer["headers"]
    assert (status, answer["path"]) == (200, "/orders/1")
    assert seen["x-user-name"] == "alice"
    assert seen["x-client-id"] == "demo-app"
    assert set(seen["x-roles"].split(",")) == {"manager", "clerk"}
    assert "orders:read" in seen["x-scopes"].split(" ")
    assert "x_user_id" not in seen
    assert "authorization" not in seen


async def test_a_scope_that_was_not_asked_for_is_missing(call, app):
    status, answer = await call("/orders/1", await app.token(ALICE))
    assert (status, answer["code"]) == (403, "insufficient_scope")


async def test_an_exchanged_token_has_the_scope(call, app):
    subject = await app.token(ALICE)
    exchange = TokenExchange(subject["access_token"], audience=("orders-api", "gateway"))
    status, answer = await call("/orders/1", await app.token(exchange, "orders:read"))
    assert (status, answer["headers"]["x-user-name"]) == (200, "alice")


async def test_roles_of_realm_and_client_decide(call, app):
    status, _ = await call("/approvals/1", await app.token(ALICE))
    assert status == 200
    status, answer = await call("/approvals/1", await app.token(BOB))
    assert (status, answer["code"]) == (403, "forbidden")


async def test_a_refresh_token_opens_nothing(call, app):
    tokens = await app.token(ALICE, "orders:read")
    status, answer = await call("/orders/1", {"access_token": tokens["refresh_token"]})
    assert (status, answer["code"]) == (401, "invalid_token")


async def test_after_a_logout_the_token_is_good_until_it_is_dropped_from_the_cache(call, app, http, gate, keycloak):
    tokens = await app.token(ALICE, "orders:read")
    status, answer = await call("/orders/1", tokens)
    assert status == 200
    form = {"client_id": "demo-app", "client_secret": "demo-app-secret", "refresh_token": tokens["refresh_token"]}
    async with http.post(f"{keycloak.issuer}/protocol/openid-connect/logout", data=form) as response:
        assert response.status == 204
    status, _ = await call("/orders/1", tokens)
    assert status == 200
    body = {"sub": answer["headers"]["x-user-id"]}
    async with http.delete(f"{gate.admin}/cache", json=body, headers=ADMIN) as response:
        assert response.status == 200
        assert (await response.json())["evicted"] >= 1
    status, answer = await call("/orders/1", tokens)
    assert (status, answer["code"]) == (401, "invalid_token")


async def test_prometheus_has_nothing_to_say_about_the_metrics(call, app, http, gate):
    tokens = await app.token(ALICE, "orders:read")
    assert [(await call("/orders/1", tokens))[0] for _ in range(2)] == [200, 200]
    async with http.get(f"{gate.admin}/metrics") as response:
        scrape = await response.read()
    assert promtool_check_metrics(scrape) == (0, b"", b"")
    lines = scrape.decode().splitlines()
    hits = [line for line in lines if line.startswith("gateway_cache_lookups_total{") and 'result="hit"' in line]
    assert sum(float(line.split()[-1]) for line in hits) >= 1
    assert tokens["access_token"] not in scrape.decode()


def promtool_check_metrics(scrape):
    promtool = shutil.which("promtool")
    if promtool is None:
        missing("no promtool on the PATH; Debian has it in the package prometheus")
    done = subprocess.run([promtool, "check", "metrics"], input=scrape, capture_output=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def test_the_command_line_gets_a_token_and_asks_about_it(gate):
    token = command("token", "-c", gate.config)
    access_token = json.loads(token.stdout)["access_token"]
    asked = command("introspect", "-c", gate.config, "-", stdin=access_token)
    assert (token.returncode, asked.returncode) == (0, 0)
    assert json.loads(asked.stdout)["client_id"] == "gateway"
    assert command("introspect", "-c", gate.config, "no-token-of-anybody").returncode == 1
    refused = command("token", "-c", gate.config, "--grant", "password", "--username", "alice", "--password", "alice")
    assert refused.returncode == 1
    assert "unauthorized_client" in refused.stderr


def command(*arguments, stdin=""):
    return subprocess.run([COMMAND, *arguments], input=stdin, capture_output=True, text=True, timeout=120, check=False)
