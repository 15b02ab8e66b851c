"""A server as a process of its own: started on given cores, watched through /proc, stopped by its id. Linux."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.comparison.cores import pinned
from support.processes import children

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_STOP_WITHIN_S = 10.0
_SHOWN_CHARS = 2000


@dataclass
class Server:
    """`log` gets what it prints. Once started, `stop` ends it and all that it has started."""

    name: str
    command: list[str]
    port: int
    log: Path
    cores: frozenset[int]
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        with pinned(self.cores), self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # an interrupt is for the benchmark, which then stops it in order
            )

    def check_alive(self) -> None:
        """Raises `RuntimeError`, with the end of its log, once it has ended."""
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"{self.name} has ended; its log:\n{self.log.read_text()[-_SHOWN_CHARS:]}")

    def stop(self) -> None:
        if self._process is None:
            return
        family = self.processes()
        self._process.terminate()
        try:
            self._process.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            for pid in family:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process.wait()
        self._process = None

    def processes(self) -> list[int]:
        """It and its descendants."""
        found = [] if self._process is None else [self._process.pid]
        for pid in found:
            found += children(pid)
        return found

    def cpu_s(self, pids: Sequence[int] = ()) -> float:
        """User and system time so far, of all its processes, or of some."""
        return sum(_cpu_ticks(pid) for pid in pids or self.processes()) / _TICKS_PER_S

    def memory_bytes(self) -> int:
        """Resident: what each process has for itself, and once what they share (program files, shared memory)."""
        held = [_resident(pid) for pid in self.processes()]
        return sum(own for own, _, _ in held) + max(file for _, file, _ in held) + max(shared for _, _, shared in held)


def _cpu_ticks(pid: int) -> int:
    """With that of children that have ended and been waited for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(int(ticks) for ticks in fields[11:15])  # utime, stime, cutime, cstime (proc(5))


def _resident(pid: int) -> tuple[int, int, int]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0, 0, 0
    kilobytes = {
        name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines) if "kB" in rest
    }
    return (kilobytes["RssAnon"] * 1024, kilobytes["RssFile"] * 1024, kilobytes["RssShmem"] * 1024)
