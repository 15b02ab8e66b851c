"""Goes through a guide as its reader does: saves the files that it shows, runs its commands, starts what it serves.

A fenced block with `title="NAME"` is a file. Each line of a block `sh` is run as if pasted, one after the other; a
comment `# exits with N` at its end says that it exits with N and not with 0. `gateway serve` runs until the guide ends.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.demonstrated import environment
from support.served import stop

DOCS = Path(__file__).parents[2] / "docs"
_BLOCK = re.compile(r"^( *)```(\w*)(?: title=\"([^\"]+)\")?\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_EXITS = re.compile(r"^(.*\S)\s+# exits with ([0-9]+)$")
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
def walked(path: Path, folder: Path, moved: Callable[[str], str] = str) -> Iterator[list[str]]:
    """What each command printed, errors included. `moved` changes the ports to those of this run."""
    (folder / ".venv").symlink_to(sys.prefix)
    printed: list[str] = []
    with ExitStack() as served:
        for block in blocks_of(path):
            if block.title:
                (folder / block.title).parent.mkdir(parents=True, exist_ok=True)
                (folder / block.title).write_text(moved(block.text), encoding="utf-8")
            elif block.language == "sh":
                for command in block.commands:
                    if command.startswith("gateway serve "):
                        served.enter_context(_serving(command, folder))
                    else:
                        printed.append(_run(moved(command), folder))
        yield printed


def _unindented(text: str, by: str) -> str:
    return re.sub(rf"^{by}", "", text, flags=re.MULTILINE)


def _environment() -> dict[str, str]:
    beside_python = str(Path(sys.executable).parent)
    return environment() | {"PATH": os.pathsep.join((beside_python, os.environ["PATH"]))}


def _run(command: str, folder: Path) -> str:
    """Run one command; what it exports is there for the next."""
    found = _EXITS.match(command)
    text, status = (found[1], int(found[2])) if found else (command, 0)
    script = (
        f"set -a; [ ! -f .exported ] || . ./.exported; set +a\n{text}\nstatus=$?; export -p > .exported; exit $status"
    )
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder, env=_environment(), stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == status, f"{text}\nexits with {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@contextmanager
def _serving(command: str, folder: Path) -> Iterator[None]:
    config = (folder / command.rsplit(maxsplit=1)[-1]).read_text(encoding="utf-8")
    admin = _ADMIN.search(config)
    assert admin, f"{command}: its file names no admin.listen on loopback, so that nobody can tell when it is ready"
    log = folder / "serve.log"
    script = f"set -a; [ ! -f .exported ] || . ./.exported; set +a; exec {command}"
    with log.open("ab") as output:
        process = subprocess.Popen(
            ["bash", "-c", script],
            cwd=folder, env=_environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        _wait_until_ready(process, int(admin[1]), log)
        yield
    finally:
        stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _READY_WITHIN_S
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with opener.open(f"http://127.0.0.1:{port}/health/ready", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(f"the gateway did not get ready:\n{log.read_text()[-3000:]}")
