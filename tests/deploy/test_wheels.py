"""What is published, built as `.ci/wheels` builds it (without the compiled wheel; test_compiled_build.py has that)."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.demonstrated import free_base
from support.needed import missing

PROJECT = Path(__file__).parents[2]
SOURCES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md", "gateway")
# A gateway on its path would be found before the one that was installed; colours would be found in what twine says.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "FORCE_COLOR"}}
NEVER = ("tests/", "tests.", ".so", ".c", "__pycache__", ".ci/", "secrets/")

pytestmark = pytest.mark.integration


def build(source: Path, built: Path, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "build", *arguments, "--outdir", str(built), str(source)],
        env=ENVIRONMENT | {"SOURCE_DATE_EPOCH": "1700000000"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the source and the pure wheel, which is built of that source."""
    for tool in ("build", "twine"):
        if find_spec(tool) is None:
            missing(f"{tool} is not installed; pip install -e '.[dev]' brings it")
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("published")
    for name in SOURCES:
        if (PROJECT / name).is_dir():
            shutil.copytree(PROJECT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
        else:
            shutil.copy(PROJECT / name, source)
    build(source, built)
    return built


@pytest.fixture(scope="module")
def wheel(published: Path) -> Path:
    (found,) = published.glob("introspection_gateway-*-py3-none-any.whl")
    return found


@pytest.fixture(scope="module")
def archive(published: Path) -> Path:
    (found,) = published.glob("introspection_gateway-*.tar.gz")
    return found


def test_twine_has_nothing_to_say(published: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *map(str, published.iterdir())],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_wheel_has_every_module_and_what_they_read(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {str(path.relative_to(PROJECT)) for path in (PROJECT / "gateway").rglob("*.py")}
    assert modules | {"gateway/py.typed", "gateway/admin/page.html"} <= names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert [name for name in names if name.startswith(NEVER) or name.endswith(NEVER)] == []
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"gateway"}


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    packed = zipfile.ZipFile(wheel)
    (name,) = (each for each in packed.namelist() if each.endswith(".dist-info/METADATA"))
    said = message_from_bytes(packed.read(name))
    assert (said["Name"], said["License-Expression"]) == ("introspection-gateway", "Apache-2.0")
    assert said["Requires-Python"] == ">=3.11"
    assert set(said.get_all("Provides-Extra")) >= {"otel", "test", "dev"}


def test_the_source_has_what_builds_it_and_nothing_half(archive: Path) -> None:
    with tarfile.open(archive) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    assert {"pyproject.toml", "setup.py", "LICENSE", "README.md", "CHANGELOG.md", "gateway/py.typed"} <= names
    assert [name for name in names if name.startswith(("tests", ".", "config", "deploy"))] == []


def test_another_build_of_the_same_source_gives_the_same_wheel(wheel: Path, archive: Path, tmp_path: Path) -> None:
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    build(source, tmp_path / "built", "--wheel")
    (again,) = (tmp_path / "built").iterdir()
    assert (again.name, again.read_bytes()) == (wheel.name, wheel.read_bytes())


def test_installed_elsewhere_it_does_what_a_user_does_first(wheel: Path) -> None:
    done = subprocess.run(
        [str(PROJECT / ".ci" / "installed"), str(wheel)],
        env=ENVIRONMENT | {"PORT_BASE": str(free_base())},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "steps went as they should" in done.stdout
