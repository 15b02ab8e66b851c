"""Load by wrk: how to start it and what it says at its end."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.comparison import mixed
from benchmarks.comparison.peer import NotInstalledError

_GRACE_S = 30.0
_MARK = "SUMMARY "
# wrk's own lines round what they say.
_DONE = """\
done = function(summary, latency, requests)
    local e = summary.errors
    io.write(string.format(
        'SUMMARY {"requests": %.0f, "bytes": %.0f, "duration_us": %.0f, "refused": %.0f, "failed": %.0f}\\n',
        summary.requests, summary.bytes, summary.duration, e.status,
        e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@dataclass(frozen=True)
class Load:
    """What is asked for. `body_bytes` are sent by POST, 0 is a GET; `key` is for the command line.

    With `services` it is the mixed load (`mixed.py`) over so many first segments below `target`; `lines` are further
    fields of it. Without, it is the same request again and again.
    """

    name: str
    target: str
    connections: int
    body_bytes: int = 0
    services: int = 0
    lines: str = ""
    key: str = ""

    def script(self, run: int = 0) -> str:
        """`run` tells one run's mixed requests from another's."""
        if self.services:
            first = run * mixed.RUN_NUMBERS
            return mixed.script(self.target, first, self.body_bytes, self.services, self.lines) + _DONE
        body = f'wrk.method = "POST"\nwrk.body = string.rep("x", {self.body_bytes})\n' if self.body_bytes else ""
        return body + _DONE


@dataclass(frozen=True)
class Summary:
    """`refused` are answers above 399, `failed` these and what sockets and deadlines broke."""

    requests: int
    received_bytes: int
    duration_s: float
    refused: int
    failed: int


def binary() -> str:
    found = shutil.which("wrk")
    if found is None:
        raise NotInstalledError("wrk (apt-get install wrk)")
    return found


def version() -> str:
    """The first line of its usage; it has no other way to say it."""
    shown = subprocess.run([binary(), "--version"], capture_output=True, text=True, check=False, timeout=20)
    words = (shown.stdout + shown.stderr).split()
    return words[1] if len(words) > 1 else "?"


def command(load: Load, script: Path, port: int, token: str, duration_s: int) -> list[str]:
    """The mixed load writes its own heads; `token` is for the others."""
    return [
        binary(),
        "-t1",
        f"-c{load.connections}",
        f"-d{duration_s}s",
        "--timeout=10s",
        f"-s{script}",
        f"-HAuthorization: Bearer {token}",
        f"http://127.0.0.1:{port}{load.target}",
    ]


def run(load: Load, folder: Path, port: int, token: str, duration_s: int, number: int = 0) -> Summary:
    """On the cores of this process; `number` is that of the run. Raises `RuntimeError` where wrk fails."""
    script = folder / "load.lua"
    script.write_text(load.script(number))
    done = subprocess.run(
        command(load, script, port, token, duration_s),
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=duration_s + _GRACE_S,
    )
    if done.returncode != 0:
        raise RuntimeError(f"wrk: {done.stdout}{done.stderr}")
    return parse(done.stdout)


def parse(output: str) -> Summary:
    """What the script has written. Raises `ValueError` where it is not there."""
    for line in output.splitlines():
        if line.startswith(_MARK):
            said = json.loads(line.removeprefix(_MARK))
            return Summary(said["requests"], said["bytes"], said["duration_us"] / 1e6, said["refused"], said["failed"])
    raise ValueError(f"wrk has written no summary: {output[-500:]!r}")
