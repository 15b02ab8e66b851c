"""The soak in its one-minute form; ten minutes of it stand in `docs/soak.md`."""

import subprocess
import sys
from pathlib import Path

SOAK = Path(__file__).parents[1] / "benchmarks" / "soak.py"
# A minute, and what it takes to start and to stop seven processes on a busy machine.
WITHIN_S = 300


def test_a_minute_of_everything_at_once_comes_out_all_zero_and_flat() -> None:
    done = subprocess.run(
        [sys.executable, str(SOAK), "--minutes", "1"],
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3000:]}"
    assert "| answers to the wrong caller | 0 | ok |" in done.stdout
