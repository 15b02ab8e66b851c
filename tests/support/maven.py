"""Programs in Java that tests need: built once by Maven, outside of the folder that has their source."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
BUILT_WITHIN_S = 300.0


def jar_of(source: Path) -> Path:
    """The jar that `mvn package` makes of the project in `source`. Without Maven the test is skipped."""
    client = shutil.which("mvn")
    if client is None:
        pytest.skip(f"there is no mvn on the PATH, which builds {source.name}")
    files = sorted(path for path in source.rglob("*") if path.is_file() and "target" not in path.parts)
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]
    target = PROJECT / ".cache" / f"maven-{source.name}-{digest}"
    if not target.is_dir():
        _build(client, source, target)
    [jar] = (target / "target").glob("*.jar")
    return jar


def _build(client: str, source: Path, target: Path) -> None:
    """Build beside `target` and rename, so that a run cut short leaves no half of it."""
    partial = target.with_name(f"{target.name}.{os.getpid()}")
    shutil.copytree(source, partial, ignore=shutil.ignore_patterns("target"))
    repository = os.environ.get("MAVEN_REPO")
    own = [] if repository is None else [f"-Dmaven.repo.local={repository}"]
    words = [client, "-B", "-q", *own, "-f", str(partial / "pom.xml"), "package"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=BUILT_WITHIN_S, check=False)
        if done.returncode != 0:
            pytest.skip(f"Maven cannot build {source.name}: {(done.stdout.strip().splitlines() or ['no reason'])[0]}")
        partial.rename(target)
    except (subprocess.TimeoutExpired, OSError) as error:
        if not target.is_dir():  # another process may have been faster
            pytest.skip(f"Maven cannot build {source.name}: {error}")
    finally:
        shutil.rmtree(partial, ignore_errors=True)
