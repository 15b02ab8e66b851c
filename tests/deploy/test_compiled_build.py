"""The compiled form, from the source to an answer: about a minute, most of it the compiler's."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from support.demonstrated import checked, free_base
from support.needed import missing

PROJECT = Path(__file__).parents[2]
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "gateway")
BUILD_WITHIN_S = 900.0
# A gateway on its path would be found before the one that was installed.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def _nothing_on_the_path(monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)


@pytest.fixture(scope="module")
def builder(tmp_path_factory):
    """A Python without packages. pip hides those of the Python that it builds with, except what its `.pth` files add:
    an older setuptools among them would read pyproject.toml."""
    folder = tmp_path_factory.mktemp("builder")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=120)
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def wheel(builder, tmp_path_factory):
    """Built of a copy: nothing of it is to be found beside the source."""
    if not any(map(shutil.which, ("gcc", "cc"))) or not Path(sysconfig.get_path("include"), "Python.h").is_file():
        missing("no C compiler, or not Python's headers")
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for name in SOURCES:
        if (PROJECT / name).is_dir():
            shutil.copytree(PROJECT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
        else:
            shutil.copy(PROJECT / name, source)
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(builder), "wheel", "--no-deps", "-w", str(built), str(source)],
        env={**ENVIRONMENT, "GATEWAY_COMPILE": "1"},
        capture_output=True,
        text=True,
        timeout=BUILD_WITHIN_S,
        check=False,
    )
    said = done.stdout + done.stderr
    if "No matching distribution found for mypy" in said:
        missing("mypy, which compiles, can not be had from here")
    assert done.returncode == 0, said[-5000:]
    (found,) = built.iterdir()
    return found


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The `gateway` of a virtual environment with that wheel, and all else from the one that runs this."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=120)
    python = folder / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", str(wheel)],
        env=ENVIRONMENT,
        capture_output=True,
        check=True,
        timeout=120,
    )
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin" / "gateway"


def test_the_wheel_has_the_compiled_modules_beside_all_sources(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert sum(name.startswith("gateway/") and name.endswith(".py") for name in names) == len(
        list((PROJECT / "gateway").rglob("*.py"))
    )
    compiled = {name.partition(".")[0] for name in names if name.endswith(".so")}
    assert {"gateway__mypyc", "gateway/proxy/fast_lane", "gateway/proxy/upstream/connection"} <= compiled


def test_it_says_that_it_is_compiled(installed):
    said = subprocess.run([installed, "--version"], capture_output=True, text=True, timeout=60, check=True).stdout
    assert said.endswith(", compiled\n")


def test_it_answers_as_the_demo_expects(installed):
    done = checked(free_base(), program=(str(installed),))
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_compiled_module_can_be_the_first_that_is_imported(wheel, installed):
    """A class that is looked at before its module is there ends the process, and only in some order of imports."""
    names = zipfile.ZipFile(wheel).namelist()
    compiled = [name.partition(".")[0].replace("/", ".") for name in names if name.endswith(".so")]
    # One process each: what an earlier one has imported would hide it.
    ended = {
        name: subprocess.run(
            [installed.parent / "python", "-c", f"import {name}"], capture_output=True, timeout=60, check=False
        ).returncode
        for name in compiled
    }
    assert {name: status for name, status in ended.items() if status} == {}


def test_a_trusted_proxys_chain_is_read_in_the_compiled_form(installed):
    """What mypy holds to be a frozenset, and is a set, is an error in this form alone."""
    code = (
        "from ipaddress import ip_network; from gateway.http.forwarded import TrustedProxies, read_caller;"
        "trusted = TrustedProxies((ip_network('10.0.0.0/8'),));"
        "print(read_caller('10.0.0.1', 'http', [('X-Forwarded-For', '203.0.113.9')], trusted).address)"
    )
    done = subprocess.run(
        [installed.parent / "python", "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "203.0.113.9\n", done.stderr
