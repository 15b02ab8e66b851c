"""The commands as they are run: real processes, their output and their exit statuses."""

import asyncio
import json
import os
import pty
import stat
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from support.command_lines import read_command
from support.scripted_provider import ScriptedProvider

from gateway.cli import COMMANDS, main
from gateway.commands.epilogs import EPILOGS
from gateway.config.identity_key import read_identity_key
from gateway.demo.demo_provider import DemoProvider

MINIMAL = """
providers:
  demo:
    issuer: {issuer}
    introspection_endpoint: {introspection}
    token_endpoint: {token}
    client_id: {client}
    client_secret: {client}-secret
routes:
  - name: orders
    match: {{path: "/orders/**"}}
    backend: http://127.0.0.1:9
    auth: {{scopes: [orders:read]}}
"""


async def gateway(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", *arguments,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(30):
        out, err = await process.communicate(stdin.encode())
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.fixture
async def demo_provider():
    provider = DemoProvider()
    await provider.start()
    yield provider
    await provider.stop()


@pytest.fixture
def config_for(tmp_path: Path):
    def write(provider, client: str = "gateway", more: str = "") -> str:
        path = tmp_path / "gateway.yaml"
        issuer = getattr(provider, "issuer", None) or provider.url
        token = getattr(provider, "token_endpoint", None) or f"{provider.url}/token"
        path.write_text(
            MINIMAL.format(issuer=issuer, introspection=provider.introspection_endpoint, token=token, client=client)
            + more
        )
        return str(path)

    return write


async def test_check_names_every_problem_and_exits_with_2(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("server: {workers: no}\nroutes:\n  - name: a\n    backend: nowhere\n")
    status, out, err = await gateway("check", "-c", str(path))
    assert (status, out) == (2, "")
    lines = err.splitlines()
    assert any(line.startswith(f"{path}:1: server.workers: ") for line in lines)
    assert any(line.startswith(f"{path}:4: routes[0].backend: ") for line in lines)
    assert all("; " in line for line in lines)


async def test_check_warns_and_is_strict_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("routes: [{name: a, auth: none, backend: 'http://a', max_body: unlimited}]\n")
    status, out, err = await gateway("check", "-c", str(path))
    assert (status, out) == (0, f"{path}: ok, 1 route, 0 providers\n")
    assert err.startswith(f"{path}:1: warning: routes[0].max_body: ")
    assert (await gateway("check", "--strict", "-c", str(path)))[0] == 2
    status, out, _ = await gateway("check", "--format", "json", "-c", str(path))
    assert [(one["level"], one["path"]) for one in json.loads(out)] == [("warning", "routes[0].max_body")]
    status, out, _ = await gateway("check", "--format", "github", "-c", str(path))
    assert out.startswith(f"::warning file={path},line=1::routes[0].max_body: ")
    path.write_text("routes: 5\n")
    status, out, _ = await gateway("check", "--format", "json", "-c", str(path))
    assert (status, json.loads(out)[0]["level"]) == (2, "error")


async def test_serve_refuses_a_bad_file_with_the_lines_of_check(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("routes: 5\n")
    assert await gateway("serve", "-c", str(path)) == await gateway("check", "-c", str(path))


def with_audience(file: str) -> str:
    """The same file, of which `check` has nothing to warn."""
    path = Path(file)
    path.write_text(path.read_text().replace("scopes: [orders:read]", "scopes: [orders:read], audience: [orders-api]"))
    return file


async def test_check_says_ok(demo_provider, config_for) -> None:
    status, out, err = await gateway("check", "-c", with_audience(config_for(demo_provider)))
    assert (status, err) == (0, "")
    assert "ok" in out


async def test_a_file_that_is_not_there_is_a_problem_of_the_file() -> None:
    status, _, err = await gateway("check", "-c", "/nowhere/gateway.yaml")
    assert status == 2
    assert "/nowhere/gateway.yaml" in err


async def test_schema_is_json() -> None:
    status, out, _ = await gateway("schema")
    assert status == 0
    assert json.loads(out)["properties"].keys() >= {"server", "providers", "routes"}


async def test_a_token_is_issued_and_introspected(demo_provider, config_for) -> None:
    path = config_for(demo_provider, client="demo-service")
    status, out, _ = await gateway("token", "-c", path, "--scope", "orders:read")
    assert status == 0
    token = json.loads(out)["access_token"]
    status, out, _ = await gateway("introspect", "-c", path, token)
    assert status == 0
    assert json.loads(out)["active"] is True
    status, out, _ = await gateway("introspect", "-c", path, "-", stdin=token + "\n")
    assert status == 0
    assert json.loads(out)["scope"].split().count("orders:read") == 1


async def test_a_refused_grant_exits_with_1_and_says_why(demo_provider, config_for) -> None:
    status, out, err = await gateway(
        "token", "-c", config_for(demo_provider), "--grant", "password", "--username", "alice", "--password", "wrong"
    )
    assert (status, out) == (1, "")
    assert "invalid_grant" in err


async def test_a_grant_without_what_it_needs_says_so(demo_provider, config_for) -> None:
    status, _, err = await gateway("token", "-c", config_for(demo_provider), "--grant", "refresh_token")
    assert status == 2
    assert "--refresh-token" in err


async def test_an_inactive_token_exits_with_1(demo_provider, config_for) -> None:
    status, out, _ = await gateway("introspect", "-c", config_for(demo_provider), "nonsense")
    assert (status, json.loads(out)) == (1, {"active": False})


async def test_a_token_past_its_exp_is_not_active_whatever_the_provider_says(config_for) -> None:
    async with ScriptedProvider() as provider:
        provider.default = {"active": True, "exp": 1}
        status, out, _ = await gateway("introspect", "-c", config_for(provider), "old")
    assert (status, json.loads(out)) == (1, {"active": True, "exp": 1})


async def test_scopes_may_be_given_one_by_one(config_for) -> None:
    async with ScriptedProvider() as provider:
        provider.token_answer = {"access_token": "t", "token_type": "Bearer"}
        status, _, err = await gateway("token", "-c", config_for(provider), "--scope", "a", "--scope", "b c")
        assert (status, err) == (0, "")
        assert provider.calls[-1].form["scope"] == "a b c"


async def test_a_provider_that_can_not_tell_exits_with_3(config_for) -> None:
    async with ScriptedProvider() as provider:
        provider.default = {"active": "yes"}
        path = config_for(provider)
        status, out, err = await gateway("introspect", "-c", path, "secret-token-value")
        assert (status, json.loads(out)) == (3, {"active": "yes"})
        assert "active" in err
    status, out, err = await gateway("introspect", "-c", path, "secret-token-value")
    assert (status, out) == (3, "")
    assert "secret-token-value" not in err


async def test_explain_tells_the_decision_and_its_steps(demo_provider, config_for) -> None:
    path = config_for(demo_provider, client="demo-service")
    status, out, _ = await gateway("explain", "-c", path, "GET", "/orders/1")
    told = json.loads(out)
    assert status == 1
    assert (told["route"], told["decision"], told["status"], told["code"]) == ("orders", "refuse", 401, "token_missing")
    _, out, _ = await gateway("token", "-c", path)
    token = json.loads(out)["access_token"]
    status, out, _ = await gateway("explain", "-c", path, "GET", "http://api.example.com/orders/1", "--token", token)
    told = json.loads(out)
    assert (status, told["decision"]) == (0, "allow")
    assert any("active" in step for step in told["steps"])
    assert token not in out


async def test_explain_exits_with_3_where_the_provider_cannot_tell(config_for) -> None:
    async with ScriptedProvider() as provider:
        provider.default = {"active": "yes"}
        status, out, _ = await gateway("explain", "-c", config_for(provider), "GET", "/orders/1", "--token", "t")
    assert (status, json.loads(out)["code"]) == (3, "introspection_unavailable")


@pytest.mark.parametrize(
    ("claims", "expected", "word"),
    [
        ('{"scope": "orders:read"}', 0, "forwarded: as /orders/1"),
        ('{"scope": "x"}', 1, "scope is [x], all of [orders:read] wanted"),
        ('{"active": 1}', 3, "cannot tell"),
        ("[]", 2, "is not an object"),
        ("{", 2, "is not JSON"),
    ],
)
async def test_explain_takes_claims_instead_of_a_provider(tmp_path, config_for, claims, expected, word) -> None:
    async with ScriptedProvider() as provider:
        path = config_for(provider)
        (tmp_path / "claims.json").write_text(claims)
        status, out, err = await gateway(
            "explain", "-c", path, "--claims", str(tmp_path / "claims.json"), "GET", "/orders/1"
        )
        assert provider.calls == []
    assert status == expected
    assert word in out + err


async def test_explain_of_a_misspelt_path_names_the_nearest_route(config_for) -> None:
    async with ScriptedProvider() as provider:
        status, out, _ = await gateway("explain", "-c", config_for(provider), "GET", "/order/1")
    assert status == 1
    assert "near: orders has 'orders' as segment 1, not 'order'" in json.loads(out)["steps"]


async def test_cases_are_decided_and_each_difference_is_told(tmp_path, config_for) -> None:
    cases = tmp_path / "cases.yaml"
    good = "cases:\n  - {name: a, request: GET /orders/1, expect: {status: 401}}\n"
    async with ScriptedProvider() as provider:
        path = config_for(provider)
        cases.write_text(good)
        assert await gateway("test", "-c", path, str(cases)) == (0, f"{cases}: 1 cases, none not as expected\n", "")
        cases.write_text(good + "  - {name: b, request: GET /orders/1, expect: {status: 200}}\n")
        status, out, _ = await gateway("test", "-c", path, str(cases))
        assert (status, out.splitlines()[0].partition(" (")[0]) == (1, f"{cases}:3: b: status is 401, 200 expected")
        cases.write_text("cases: 5\n")
        status, out, err = await gateway("test", "-c", path, str(cases))
        assert (status, out) == (2, "")
        assert err.startswith(f"{cases}:1: cases: ")
        assert provider.calls == []


async def test_an_unknown_provider_is_named_with_those_there_are(demo_provider, config_for) -> None:
    status, _, err = await gateway("introspect", "-c", config_for(demo_provider), "--provider", "x", "t")
    assert status == 2
    assert "demo" in err


async def test_an_address_in_use_is_reported_in_words(demo_provider, config_for) -> None:
    port = demo_provider.url.rpartition(":")[2]
    more = f"server: {{listen: '127.0.0.1:{port}'}}\nadmin: {{listen: '127.0.0.1:0'}}\n"
    status, _, err = await gateway("serve", "-c", config_for(demo_provider, more=more))
    assert status == 1
    assert "in use" in err


def test_a_command_is_imported_when_it_is_run() -> None:
    heavy = ("aiohttp", "pydantic", "redis", "gateway.app", "asyncio", "ssl", "gateway.proxy.access_record")
    code = f"import sys, gateway.cli; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_a_check_of_a_file_without_keys_imports_what_reads_it_and_no_more(tmp_path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("routes: [{name: a, match: {path: /a}, backend: 'http://a', auth: none}]\n")
    heavy = ("aiohttp", "redis", "cryptography", "prometheus_client", "gateway.app", "asyncio", "ssl")
    code = (
        "import sys; from gateway.commands import checking; from gateway.config.load import load, warnings_in;"
        "load(sys.argv[1]); warnings_in(sys.argv[1], 0.0);"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_each_command_is_where_the_list_says(name) -> None:
    with click.Context(main) as context:
        command = main.get_command(context, name)
        assert command is not None
        assert command.name in {name, name.replace("_", "-")}
        assert command.hidden == (COMMANDS[name][2] == "")
        assert command.help


@pytest.mark.parametrize("arguments", [[], ["a.yaml", "-c", "b.yaml"]])
def test_one_configuration_is_named(arguments) -> None:
    done = CliRunner().invoke(main, ["check", *arguments])
    assert (done.exit_code, "name one configuration" in done.output) == (2, True)


def test_the_file_may_be_the_argument(tmp_path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("routes: [{name: a, auth: none, backend: 'http://a'}]\n")
    done = CliRunner().invoke(main, ["check", str(path)])
    assert (done.exit_code, done.output) == (0, f"{path}: ok, 1 route, 0 providers\n")


def replaced(path: str, old: str, new: str) -> None:
    Path(path).write_text(Path(path).read_text().replace(old, new))


async def test_the_doctor_says_a_line_for_each_thing_and_exits_with_1_where_one_fails(
    demo_provider, config_for
) -> None:
    path = config_for(demo_provider)
    status, out, err = await gateway("doctor", "-c", path)
    assert (status, err) == (1, "")
    lines = out.splitlines()
    assert [line.split()[0] for line in lines] == ["ok", "ok", "ok", "FAIL"]
    assert lines[-1].startswith("FAIL    backend http://127.0.0.1:9: 127.0.0.1:9 refused the connection; check")
    replaced(path, "http://127.0.0.1:9", demo_provider.url)
    status, out, _ = await gateway("doctor", path)
    assert (status, "FAIL" in out) == (0, False)


async def test_the_doctor_exits_with_2_for_a_file_that_cannot_be_used(tmp_path: Path) -> None:
    status, out, err = await gateway("doctor", "-c", str(tmp_path / "none.yaml"))
    assert (status, out) == (2, "")
    assert "cannot be read" in err


def test_a_terminal_is_shown_the_line_with_a_caret_and_nothing_else_is(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("routes:\n  - name: a\n    backed: http://a\n    auth: none\n")
    command = [sys.executable, "-m", "gateway", "check", str(path)]
    terminal, other_end = pty.openpty()
    subprocess.run(command, stderr=other_end, timeout=60, check=False)
    os.close(other_end)
    with os.fdopen(terminal, "rb", buffering=0) as shown:
        assert shown.read(4096).decode().splitlines()[1:] == ["  3 |     backed: http://a", "    |     ^"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
def test_keygen_makes_a_key_that_signs_and_overwrites_none(tmp_path, algorithm):
    path = tmp_path / "signing.pem"
    made = CliRunner().invoke(main, ["keygen", "--algorithm", algorithm, "-o", str(path)])
    key = read_identity_key(path.read_text(), needs_private=True)
    assert (made.exit_code, key.algorithm) == (0, algorithm)
    assert key.kid in made.stderr
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = CliRunner().invoke(main, ["keygen", "-o", str(path)])
    assert again.exit_code == 1
    assert read_identity_key(path.read_text(), needs_private=True).kid == key.kid


def test_keygen_prints_only_the_key():
    made = CliRunner().invoke(main, ["keygen"])
    assert read_identity_key(made.stdout, needs_private=True).algorithm == "ES256"


@pytest.mark.parametrize("name", [name for name, (_, _, line) in COMMANDS.items() if line])
def test_the_help_of_each_command_has_an_example_that_is_right_and_its_exit_statuses(name) -> None:
    shown = CliRunner().invoke(main, [name, "--help"]).output
    examples, statuses = EPILOGS[name]
    for status, meaning in statuses.items():
        assert f"  {status}  {meaning}\n" in shown
    for example in examples:
        assert f"  {example}\n" in shown  # on one line
        for part in example.split("|"):
            program, _, rest = part.partition(">")[0].partition("<")[0].strip().partition(" ")
            if program == "gateway":
                read_command(rest)


def test_the_help_tells_defaults() -> None:
    assert "[default: client_credentials]" in CliRunner().invoke(main, ["token", "--help"]).output
    assert "[default: text]" in CliRunner().invoke(main, ["check", "--help"]).output
