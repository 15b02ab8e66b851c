"""`gateway demo` as a user starts it: a process of its own, on four free ports of loopback."""

import os
import random
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from support.served import COMMAND, stop

from gateway.demo.places import HOST, Places, places_from

LAST_LINE = "Ctrl-C stops"


def free_base() -> int:
    """N such that N, N+1, N+2 and N+3 are free, below the ports that the kernel gives to clients."""
    while True:
        base = random.randrange(20_000, 32_000)
        with ExitStack() as opened:
            try:
                for port in range(base, base + 4):
                    opened.enter_context(socket.create_server((HOST, port)))
            except OSError:
                continue
        return base


def environment() -> dict[str, str]:
    """The caller's, without what would change how the demo looks or whom curl asks."""
    changing = {"NO_COLOR", "FORCE_COLOR", "TERM", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"}
    return {name: value for name, value in os.environ.items() if name not in changing} | {"PYTHONUTF8": "1"}


def checked(base: int, *more: str, program: tuple[str, ...] = (COMMAND,)) -> subprocess.CompletedProcess[str]:
    """`gateway demo --check`, to its end."""
    return subprocess.run(
        [*program, "demo", "--check", "--port-base", str(base), *more],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        env=environment(),
        timeout=120,
        check=False,
    )


@contextmanager
def demonstrated() -> Iterator[tuple[Places, subprocess.Popen[str], list[str]]]:
    """Where the demo is, its process, and the lines it printed; stopped by SIGTERM where it still runs."""
    base = free_base()
    process = subprocess.Popen(
        [COMMAND, "demo", "--port-base", str(base)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        env=environment(),
    )
    assert process.stdout is not None
    try:
        lines = []
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if LAST_LINE in line:
                break
        else:
            raise AssertionError("the demo did not start:\n" + "\n".join(lines))
        yield places_from(base), process, lines
    finally:
        try:
            stop(process)
        finally:
            process.stdout.close()
