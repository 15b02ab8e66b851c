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
import subprocess
import sys
import tempfile
from pathlib import Path

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
    """Only what adds coverage, under a name that says nothing of where it was found."""
    with tempfile.TemporaryDirectory() as scratch:
        where = [scratch, str(CORPUS / name), str(FOUND / name)]
        _inside(name, ["-merge=1", "-verbosity=0", f"-max_len={INPUT_MAX_BYTES}", *where])
        for file in Path(scratch).iterdir():
            (CORPUS / name / hashlib.sha256(file.read_bytes()).hexdigest()[:16]).write_bytes(file.read_bytes())


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
