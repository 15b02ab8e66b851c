"""What the README says is so: its commands are run, its files loaded, its tables compared with the code."""

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import click
import pytest
from support.command_lines import read_command
from support.demonstrated import checked, demonstrated, environment, free_base
from support.needed import missing
from support.served import STOP_WITHIN_S

from gateway.cli import COMMANDS
from gateway.config.load import load_text
from gateway.config.schema import json_schema
from gateway.demo.guide import pastes
from gateway.demo.places import Places
from gateway.http.refusal import STATUS_OF_CODE
from gateway.observe.families import FAMILIES

PROJECT = Path(__file__).parents[1]
README = (PROJECT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [PROJECT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
SHELL = [text for language, text in BLOCKS if language == "sh"]
YAML = [text for language, text in BLOCKS if language == "yaml"]

DEMO_LINE, WALK, CHECK, TEST_LINE, SERVE, ASK, SCHEMA = SHELL
GATEWAY_YAML, ROUTES_YAML = YAML
OWN_PORT, OWN_ADMIN_PORT = 8000, 9000
READY_WITHIN_S = 60.0


@pytest.fixture(scope="module")
def demo():
    with demonstrated() as (places, _, _):
        yield places


@pytest.fixture(scope="module")
def own_ports():
    base = free_base()
    return base, base + 1


@pytest.fixture(scope="module")
def moved(demo, own_ports):
    """Moves what the README says to the ports of this run."""
    usual = Places()
    ports = {
        usual.gateway: demo.gateway,
        usual.admin: demo.admin,
        usual.provider: demo.provider,
        usual.backend: demo.backend,
        OWN_PORT: own_ports[0],
        OWN_ADMIN_PORT: own_ports[1],
    }

    def move(text: str) -> str:
        return re.sub(r"127\.0\.0\.1:([0-9]+)", lambda match: f"127.0.0.1:{ports[int(match[1])]}", text)

    return move


@pytest.fixture(scope="module")
def folder(tmp_path_factory, moved):
    """A clone's folder as far as the commands see it: the virtual environment, and the file that was to be saved."""
    path = tmp_path_factory.mktemp("clone")
    (path / ".venv").symlink_to(sys.prefix)
    (path / "gateway.yaml").write_text(moved(GATEWAY_YAML))
    return path


def pasted(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Run the lines of a block as somebody would who pastes them, stopping at the first that fails."""
    beside_python = str(Path(sys.executable).parent)
    return subprocess.run(
        ["sh", "-eu", "-c", text],
        cwd=folder,
        env=environment() | {"PATH": os.pathsep.join((beside_python, os.environ["PATH"]))},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def documents_in(text: str) -> list[dict[str, object]]:
    """The JSON objects in a text, one after the other, with whatever is between them left out."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while (at := text.find("{", at)) >= 0:
        value, at = decoder.raw_decode(text, at)
        found.append(value)
    return found


def test_the_first_command_is_one_line_that_needs_nothing_but_python():
    assert DEMO_LINE == "python3 -m venv .venv && .venv/bin/pip install -q . && .venv/bin/gateway demo\n"


def test_the_second_command_is_one_line_that_ci_finds():
    assert TEST_LINE == "python3 -m venv .venv && .venv/bin/pip install -q -e '.[test]' && .venv/bin/pytest\n"
    lines = [line for block in SHELL for line in block.splitlines()]
    assert [line for line in lines if line.endswith("pytest")] == [TEST_LINE.strip()]


def test_the_walk_is_what_the_demo_prints():
    printed = [f"{paste.says(number)}\n{paste.command}\n" for number, paste in enumerate(pastes(Places()), 1)]
    assert "\n".join(printed) == WALK


def test_the_walk_shows_what_it_says(folder, moved):
    if shutil.which("curl") is None:
        missing("no curl on the PATH, with which the README's walk-through is written")
    done = pasted(folder, moved(WALK))
    assert done.returncode == 0, done.stderr
    without, call, forged, bob, why, evicted, revoked = documents_in(done.stdout.partition("\ngateway_")[0])
    assert without["code"] == "token_missing"
    for seen in (call, forged):
        assert seen["headers"]["X-User-Name"] == "alice"
        assert "mallory" not in json.dumps(seen)
    assert bob["code"] == "insufficient_scope"
    assert (why["route"], why["decision"], why["code"]) == ("orders", "refuse", "insufficient_scope")
    assert evicted == {"evicted": 1}
    assert revoked["code"] == "invalid_token"
    assert re.findall(r"^HTTP/1.1 (\d+)", done.stdout, re.MULTILINE) == ["401", "403", "401"]
    assert 'gateway_introspections_total{outcome="active",provider="demo"} 2.0' in done.stdout


@pytest.mark.parametrize("shell", [["zsh", "-f", "-i"], ["bash", "--norc", "-i"]], ids=["zsh", "bash"])
def test_the_walk_can_be_pasted_into_an_interactive_shell(shell, folder, moved):
    if shutil.which(shell[0]) is None or shutil.which("curl") is None:
        missing(f"no {shell[0]} or no curl on the PATH")
    shown = typed(shell, folder, moved(WALK) + "echo the-end-$((40 + 2))\n", until="the-end-42")
    assert re.findall(r"^HTTP/1.1 (\d+)", shown, re.MULTILINE) == ["401", "403", "401"]
    assert 'gateway_introspections_total{outcome="active",provider="demo"}' in shown
    assert not re.search(r"not found|quote>|no matches|syntax error|parse error", shown)


def typed(shell, folder, text, until):
    """What a terminal shows when `text` is pasted into `shell`."""
    terminal, inside = pty.openpty()
    env = environment() | {"PATH": os.environ["PATH"], "TERM": "dumb", "PS1": "", "PS2": ""}
    process = subprocess.Popen(
        shell, cwd=folder, env=env, stdin=inside, stdout=inside, stderr=inside, start_new_session=True
    )
    os.close(inside)
    shown, deadline = b"", time.monotonic() + 60
    try:
        # Slowly enough for the terminal's own line buffer, as a paste is.
        for line in text.splitlines(keepends=True):
            os.write(terminal, line.encode())
            time.sleep(0.05)
        while until.encode() not in shown and time.monotonic() < deadline:
            if select.select([terminal], [], [], 0.2)[0]:
                shown += os.read(terminal, 65536)
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
    return shown.decode(errors="replace").replace("\r\n", "\n")


def test_the_check_is_a_command():
    assert CHECK == ".venv/bin/gateway demo --check\n"
    assert checked(free_base()).returncode == 0


def test_the_file_is_checked_and_served(folder, moved, demo, own_ports):
    block = SERVE.replace(".venv/bin/gateway serve", "exec .venv/bin/gateway serve")
    log = folder / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["sh", "-eu", "-c", moved(block)], cwd=folder, env=environment(), stdout=output, stderr=subprocess.STDOUT
        )
    try:
        ready = f"http://127.0.0.1:{own_ports[1]}/health/ready"
        deadline = time.monotonic() + READY_WITHIN_S
        while answer_to(ready)[0] != 200:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        assert answer_to(f"http://127.0.0.1:{own_ports[0]}/orders/7")[0] == 401
        status, body = answer_to(f"http://127.0.0.1:{own_ports[0]}/orders/7", token_of_alice(demo))
        assert (status, json.loads(body)["headers"]["X-User-Name"]) == (200, "alice")
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_WITHIN_S) == 0
    assert log.read_text().startswith("gateway.yaml: ok, 1 route, 1 provider\n")


def answer_to(url: str, token: str | None = None) -> tuple[int, bytes]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except OSError:
        return 0, b""


def token_of_alice(demo: Places) -> str:
    url = f"{demo.provider_url}/realms/demo/protocol/openid-connect/token"
    form = b"grant_type=password&client_id=demo-app&username=alice&password=alice"
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, form, timeout=10) as response:
        return json.load(response)["access_token"]


def test_the_provider_is_asked_from_the_command_line(folder, moved):
    done = pasted(folder, moved(ASK))
    assert (done.returncode, done.stderr) == (1, "")  # the last command explains a refusal
    introspected, explained = documents_in(done.stdout)
    assert (introspected["active"], introspected["client_id"]) == (True, "gateway")
    assert (explained["status"], explained["code"]) == (403, "insufficient_scope")


def test_the_schema_is_written_for_editors(folder, moved):
    done = pasted(folder, moved(SCHEMA))
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((folder / "gateway.schema.json").read_text()) == json_schema()


def test_the_examples_of_routes_are_good():
    provider = "providers: {sso: {issuer: https://sso.example.com, client_id: gateway, client_secret: secret}}\n"
    config = load_text(provider + ROUTES_YAML, "README.md", environ={}, directory=PROJECT)
    assert [route.name for route in config.routes] == ["health", "orders", "orders-write", "tenants"]


def test_the_codes_are_the_codes():
    rows = re.findall(r"^\| ([0-9]{3}) \| `(\w+)` \| .+ \|$", README, re.MULTILINE)
    assert len(rows) == len(STATUS_OF_CODE)
    assert {code: int(status) for status, code in rows} == STATUS_OF_CODE


def test_the_metrics_are_the_metrics():
    rows = re.findall(r"^\| `((?:gateway|process)_\w+)` \| (\w+) \|(.*)\|$", README, re.MULTILINE)
    told = [(name, kind, re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", labels))) for name, kind, labels in rows]
    assert told == [(family.name, family.kind, list(family.labels)) for family in FAMILIES]


@pytest.mark.parametrize("path", [*DOCUMENTS, *sorted((PROJECT / "docs").rglob("*.md"))], ids=lambda path: path.name)
def test_what_is_linked_or_named_is_there(path):
    text = path.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert [link for link in links if not (path.parent / link).exists()] == []
    commands = set(re.findall(r"`(?:\.venv/bin/)?gateway ([a-z]+)", text))
    assert commands <= COMMANDS.keys()


@pytest.mark.parametrize("path", [*DOCUMENTS, *sorted((PROJECT / "docs").rglob("*.md"))], ids=lambda path: path.name)
def test_a_command_in_a_sentence_has_options_that_there_are(path):
    for line in re.findall(r"`(?:\.venv/bin/)?gateway ([a-z]+ [^`|>]+)", path.read_text(encoding="utf-8")):
        with suppress(click.BadOptionUsage):  # a sentence may name an option without its value
            read_command(line)


def test_no_command_stands_in_a_place_that_no_test_reads():
    walked = {PROJECT / "docs" / folder for folder in ("guides", "migrating")}  # tests/docs runs their commands
    for path in (PROJECT / "docs").rglob("*.md"):
        if path.parent in walked:
            continue
        assert not re.findall(r"^```(?:sh|bash|console)", path.read_text(encoding="utf-8"), re.MULTILINE), path
