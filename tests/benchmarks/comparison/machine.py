"""What it was measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_LIBRARIES = ("aiohttp", "httptools", "uvloop")


@dataclass(frozen=True)
class Machine:
    """`load_before` is the system's load over the last minute before anything was started."""

    measured_on: str
    cores: int
    processor: str
    kernel: str
    python: str
    libraries: dict[str, str]
    load_before: float


def describe(cores: int) -> Machine:
    """`cores` are those that may be used."""
    return Machine(
        measured_on=datetime.now(UTC).date().isoformat(),
        cores=cores,
        processor=_processor(),
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        libraries={name: found for name in _LIBRARIES if (found := _version(name)) is not None},
        load_before=os.getloadavg()[0],
    )


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _version(library: str) -> str | None:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None
