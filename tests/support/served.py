"""`gateway serve -c FILE` as an operator starts it: a process of its own, on loopback."""

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

COMMAND = str(Path(sys.executable).with_name("gateway"))
READY_WITHIN_S = 60.0
STOP_WITHIN_S = 60.0


@contextmanager
def served(config: Path, admin_port: int, cwd: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Serve `config` until the block is left; waits until it says that it is ready, and stops it by SIGTERM.

    `cwd` is the directory that it is started from.
    """
    log = config.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [COMMAND, "serve", "-c", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
        )
    try:
        _wait_until_ready(process, admin_port, log)
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[Any]) -> None:
    """By SIGTERM; one that does not end by it is killed, and the test fails."""
    process.terminate()
    try:
        process.wait(STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def _wait_until_ready(process: subprocess.Popen[bytes], admin_port: int, log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{admin_port}/health/ready", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(f"the gateway did not get ready; the end of its log:\n{log.read_text()[-3000:]}")
