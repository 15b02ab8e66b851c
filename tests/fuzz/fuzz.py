"""Searches for input that breaks a promise in `harness.py`, guided by coverage. Needs atheris:

    pip install atheris
    python tests/fuzz/fuzz.py --seconds 60              each harness for a minute
    python tests/fuzz/fuzz.py --seconds 600 target      this one for ten

It starts from `corpus/<harness>/`. What it found is left in `.cache/fuzz/<harness>/`; what broke a promise stays there
as `crash-…`, and the exit status is 1. Put such a file into the corpus together with the mend. `--merge` takes over
into the corpus what reaches code that nothing there reaches yet.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

HERE = Path(__file__).resolve().parent
CORPUS = HERE / "corpus"
FOUND = HERE.parents[1] / ".cache" / "fuzz"
INPUT_MAX_BYTES = 1024
ONE_INPUT_MAX_S = 5
_INSIDE = "inside"


def main() -> int:
    names = sorted(folder.name for folder in CORPUS.iterdir())
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=int, default=60, help="for each harness")
    options.add_argument("--merge", action="store_true", help="add to the corpus what is new")
    options.add_argument("harness", nargs="*", metavar="HARNESS", help=f"one or more of {', '.join(names)}")
    chosen = options.parse_args()
    if unknown := set(chosen.harness) - set(names):
        options.error(f"no such harness: {', '.join(unknown)}")
    broken = [name for name in chosen.harness or names if not _search(name, chosen.seconds)]
    if chosen.merge:
        for name in chosen.harness or names:
            _merge(name)
    print(f"broken: {', '.join(broken)}" if broken else "nothing broke")
    return 1 if broken else 0


def _search(name: str, seconds: int) -> bool:
    found = FOUND / name
    found.mkdir(parents=True, exist_ok=True)
    print(f"{name}: {seconds} s", flush=True)
    limits = [f"-max_total_time={seconds}", f"-max_len={INPUT_MAX_BYTES}", f"-timeout={ONE_INPUT_MAX_S}"]
    where = [f"-artifact_prefix={found}/", "-verbosity=0", "-print_final_stats=1", str(found), str(CORPUS / name)]
    return _inside(name, [*limits, *where]) == 0


def _merge(name: str) -> None:
    """Take over what reaches a step from line to line that nothing in the corpus takes, the shortest first."""
    from harness import HARNESSES

    reached = set().union(*(_steps(HARNESSES[name], file) for file in (CORPUS / name).iterdir()))
    for file in sorted((FOUND / name).iterdir(), key=lambda file: (file.stat().st_size, file.name)):
        new = _steps(HARNESSES[name], file) - reached
        if new:
            reached |= new
            (CORPUS / name / hashlib.sha256(file.read_bytes()).hexdigest()[:16]).write_bytes(file.read_bytes())


def _steps(harness: Callable[[bytes], None], file: Path) -> set[tuple[str, int, int]]:
    """Which lines of the gateway followed upon which."""
    steps: set[tuple[str, int, int]] = set()

    def enter(frame: FrameType, _event: str, _argument: object) -> Callable[..., Any] | None:
        if f"{os.sep}gateway{os.sep}" not in frame.f_code.co_filename:
            return None
        before = 0

        def step(frame: FrameType, _event: str, _argument: object) -> Callable[..., Any]:
            nonlocal before
            steps.add((frame.f_code.co_filename, before, frame.f_lineno))
            before = frame.f_lineno
            return step

        return step

    sys.settrace(enter)
    try:
        harness(file.read_bytes())
    except Exception:  # noqa: BLE001 - what breaks a promise is new as well
        steps.add((file.name, 0, 0))
    finally:
        sys.settrace(None)
    return steps


def _inside(name: str, arguments: list[str]) -> int:
    """In a process of its own: the search never returns."""
    return subprocess.run([sys.executable, __file__, _INSIDE, name, *arguments], check=False).returncode


def _search_here(name: str, arguments: list[str]) -> int:
    import atheris

    with atheris.instrument_imports(include=["gateway", "harness"]):
        from harness import HARNESSES  # beside this file
    atheris.Setup([sys.argv[0], *arguments], HARNESSES[name])
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == [_INSIDE]:
        sys.exit(_search_here(sys.argv[2], sys.argv[3:]))
    sys.exit(main())
