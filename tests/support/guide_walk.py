"""Goes through a guide as its reader does: saves the files that it shows, runs its commands, starts what it serves.

A fenced block with `title="NAME"` is a file. Each line of a block `sh` is run as if pasted, one after the other. A
comment at its end, `# exits with N` or `# prints TEXT`, says what is not as usual, or what to look at. `gateway demo`,
`gateway serve` and what ends in `&` run until the guide ends. Ports are those of this run.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from support.demonstrated import demonstrated, environment
from support.needed import missing
from support.served import STOP_WITHIN_S

from gateway.demo.places import Places

PROJECT = Path(__file__).parents[2]
DOCS = PROJECT / "docs"
# What a clone has, and guides name.
_OF_THE_CLONE = ("config", "deploy")
# Programs that need more than a test has. The files that they are given must be there.
_NOT_RUN = ("docker", "kubectl", "helm", "git", "pip")
_PROGRAMS = ("curl", "openssl")
_BLOCK = re.compile(r"^( *)```(\w*)(?: title=\"([^\"]+)\")?\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_EXPECTED = re.compile(r"^(.*?\S)\s+# (?:exits with ([0-9]+))?(?:, )?(?:prints (.+))?$", re.DOTALL)
_PORT = re.compile(r"(?:127\.0\.0\.1|localhost):([0-9]{4,5})\b")
_ADMIN = re.compile(r"^admin:\s*(?:\{|\n\s+)listen: 127\.0\.0\.1:([0-9]+)", re.MULTILINE)
_READY_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class GuideBlock:
    language: str
    title: str
    text: str

    @property
    def commands(self) -> list[str]:
        """The lines of a block of the shell, with those joined that go on behind a backslash or an open quote."""
        lines: list[str] = []
        for line in self.text.splitlines():
            if lines and (lines[-1].endswith("\\") or lines[-1].count("'") % 2 or lines[-1].count('"') % 2):
                lines[-1] += "\n" + line
            elif line.strip() and not line.startswith("#"):
                lines.append(line)
        return lines


def blocks_of(path: Path) -> list[GuideBlock]:
    """The fenced blocks of a document, in their order."""
    text = path.read_text(encoding="utf-8")
    return [GuideBlock(found[2], found[3] or "", _unindented(found[4], found[1])) for found in _BLOCK.finditer(text)]


@contextmanager
def walked(path: Path, folder: Path, ports: Mapping[int, int] | None = None) -> Iterator[list[str]]:
    """What each command printed, errors included. `ports` are of servers that stand already, by the guide's numbers."""
    (folder / ".venv").symlink_to(sys.prefix)
    for name in _OF_THE_CLONE:
        (folder / name).symlink_to(PROJECT / name)
    walk = _Walk(folder, dict(ports or {}))
    text = path.read_text(encoding="utf-8")
    with ExitStack() as running:
        if re.search(r"^ *gateway demo$", text, re.MULTILINE):
            walk.ports |= _demo_ports(running)
        for found in _PORT.findall(text):
            walk.ports.setdefault(int(found), _free_port())
        for block in blocks_of(path):
            walk.see(block, running)
        yield walk.printed


@dataclass(slots=True)
class _Walk:
    folder: Path
    ports: dict[int, int]
    printed: list[str] = field(default_factory=list)

    def see(self, block: GuideBlock, running: ExitStack) -> None:
        if block.title:
            path = self.folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self._moved(block.text), encoding="utf-8")
        elif block.language == "sh":
            for command in block.commands:
                self._take(command, running)

    def _take(self, command: str, running: ExitStack) -> None:
        words = shlex.split(command, comments=True)
        if words == ["gateway", "demo"]:
            return  # it stands already
        if words[0] in _NOT_RUN:
            missing = [word for word in words if word.startswith("deploy/") and not (PROJECT / word).exists()]
            assert missing == [], f"{command}: {missing} is not in the repository"
        elif words[:2] == ["gateway", "serve"]:
            running.enter_context(_running(self._moved(command), self.folder))
            _wait_until_ready(self._admin_port(words[-1]), self.folder / "served.log")
        elif words[-1] == "&":
            running.enter_context(_running(self._moved(command).rstrip("& "), self.folder))
            for port in (self.ports[int(word)] for word in words if word.isdigit() and int(word) in self.ports):
                _wait_until_open(port)
        else:
            self.printed.append(_run(self._moved(command), self.folder))

    def _moved(self, text: str) -> str:
        known = "|".join(map(str, self.ports))
        return re.sub(rf"\b(?:{known})\b", lambda number: str(self.ports[int(number[0])]), text) if known else text

    def _admin_port(self, file: str) -> int:
        found = _ADMIN.search((self.folder / file).read_text(encoding="utf-8"))
        assert found, f"{file} names no admin.listen on loopback, so that nobody can tell when it is ready"
        return int(found[1])


def _unindented(text: str, by: str) -> str:
    return re.sub(rf"^{by}", "", text, flags=re.MULTILINE)


def _demo_ports(running: ExitStack) -> dict[int, int]:
    usual, (places, _, _) = Places(), running.enter_context(demonstrated())
    return {getattr(usual, name): getattr(places, name) for name in ("gateway", "admin", "provider", "backend")}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _environment() -> dict[str, str]:
    beside_python = str(Path(sys.executable).parent)
    return environment() | {"PATH": os.pathsep.join((beside_python, os.environ["PATH"]))}


def _script(command: str) -> list[str]:
    """What one command exports is there for the next."""
    before = "set -a; [ ! -f .exported ] || . ./.exported; set +a"
    return ["bash", "-c", f"{before}\n{command}\nstatus=$?; export -p > .exported; exit $status"]


def _check_programs(command: str) -> None:
    for name in _PROGRAMS:
        if re.search(rf"\b{name}\b", command) and shutil.which(name) is None:
            missing(f"no {name} on the PATH, with which a guide is written")


def _run(command: str, folder: Path) -> str:
    _check_programs(command)
    found = _EXPECTED.match(command)
    text, status, prints = (found[1], int(found[2] or 0), found[3]) if found else (command, 0, None)
    done = subprocess.run(
        _script(text),
        cwd=folder, env=_environment(), stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", timeout=120,
        check=False,
    )  # fmt: skip
    told = done.stdout + done.stderr
    assert done.returncode == status, f"{text}\nexits with {done.returncode}: {told}"
    assert prints is None or prints in told, f"{text}\nprints: {told}"
    return told


@contextmanager
def _running(command: str, folder: Path) -> Iterator[None]:
    with (folder / "served.log").open("ab") as output:
        process = subprocess.Popen(
            _script(command),
            cwd=folder, env=_environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(STOP_WITHIN_S)


def _wait_until_open(port: int) -> None:
    deadline = time.monotonic() + _READY_WITHIN_S
    while time.monotonic() < deadline:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"nobody listens on port {port}")


def _wait_until_ready(port: int, log: Path) -> None:
    deadline = time.monotonic() + _READY_WITHIN_S
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < deadline:
        try:
            with opener.open(f"http://127.0.0.1:{port}/health/ready", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(f"the gateway did not get ready:\n{log.read_text()[-3000:]}")
