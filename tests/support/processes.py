"""`gateway serve` with its workers, as processes of their own: to reload, to look into and to shoot at."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from support.running_gateway import ADMIN_TOKEN
from support.served import COMMAND, READY_WITHIN_S, STOP_WITHIN_S

_POLL_S = 0.05
_READY_POLL_S = 0.2  # each look is a client session, and takes time from the processes that start
_ADMIN_S = 5.0


@dataclass
class ServedGateway:
    """`document` is the configuration, whose listeners have ports; `folder` gets its file and what it prints."""

    name: str
    folder: Path
    document: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)
    exit_status: int | None = None
    _process: subprocess.Popen[bytes] | None = None
    _read_bytes: int = 0
    _events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def output(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.document["server"]["listen"].rpartition(":")
        return host, int(port)

    @property
    def admin_url(self) -> str:
        return f"http://{self.document['admin']['listen']}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Returns when it is ready."""
        self._process = self._spawn(self._write())
        try:
            await self._until_ready(self._process)
        except BaseException:
            # Whoever starts it stops it only after `start` has returned.
            await self.stop()
            raise

    async def _until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        while not await self.is_ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{self.name} did not get ready:\n{self.output.read_text()[-3000:]}")
            await asyncio.sleep(_READY_POLL_S)

    async def stop(self) -> None:
        """By SIGTERM, and by SIGKILL where that does not help; `exit_status` is then negative."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self.exit_status = await asyncio.to_thread(self._process.wait, STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self.exit_status = await asyncio.to_thread(self._process.wait)
        self._process = None

    async def is_ready(self) -> bool:
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_ADMIN_S), trust_env=False) as session,
                session.get(f"{self.admin_url}/health/ready") as answer,
            ):
                return answer.status == 200
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    async def forget(self, **selector: str) -> int:
        """`DELETE /cache`; how many entries it dropped."""
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20), trust_env=False) as session,
            session.delete(
                f"{self.admin_url}/cache", json=selector or None, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}
            ) as answer,
        ):
            assert answer.status == 200, await answer.text()
            return int((await answer.json())["evicted"])

    def reload(self, document: dict[str, Any] | None = None) -> None:
        """By SIGHUP; it takes effect a moment later."""
        if document is not None:
            self.document = document
        self._write()
        os.kill(self.pid, signal.SIGHUP)

    def events(self, word: str) -> list[dict[str, Any]]:
        """The lines of its output about one kind of event, other than requests, which would be too many to keep."""
        with self.output.open("rb") as output:
            output.seek(self._read_bytes)
            text = output.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read_bytes += len(whole)
        self._events += [_parsed(line) for line in whole.splitlines() if b'"event":"request"' not in line]
        return [line for line in self._events if line.get("event") == word]

    def workers(self) -> list[int]:
        """The ids of its workers that are alive, oldest first."""
        return children(self.pid)

    async def until_workers(
        self, count: int, without: int | None = None, within_s: float = READY_WITHIN_S
    ) -> list[int]:
        """Once `count` workers are there, `without` not among them, and have said that they serve."""
        deadline = time.monotonic() + within_s
        while True:
            serving = {line["pid"] for line in self.events("worker_started")}
            found = [pid for pid in self.workers() if pid != without and pid in serving]
            if len(found) == count:
                return found
            assert time.monotonic() < deadline, f"{self.name} has {len(found)} workers and not {count}"
            await asyncio.sleep(_POLL_S)

    def _spawn(self, file: Path) -> subprocess.Popen[bytes]:
        with self.output.open("ab") as output:
            return subprocess.Popen(
                [COMMAND, "serve", "-c", str(file)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment},
            )

    def _write(self) -> Path:
        file = self.folder / f"{self.name}.yaml"
        file.write_text(json.dumps(self.document))
        return file


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def children(pid: int) -> list[int]:
    """The processes that `pid` started and that are not dead; Linux."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
        except (OSError, ValueError):
            continue  # it ended meanwhile
        if int(parent) == pid and state != "Z":
            found.append(int(entry.name))
    return sorted(found)


@dataclass(frozen=True)
class Footprint:
    """What a process holds: bytes of memory of its own (`RssAnon`), and file descriptors."""

    memory_bytes: int
    descriptors: int


def footprint(pid: int) -> Footprint | None:
    """`None` when the process is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:
        return None
    kilobytes = next((line.split()[1] for line in status.splitlines() if line.startswith("RssAnon")), None)
    return None if kilobytes is None else Footprint(int(kilobytes) * 1024, descriptors)
