"""Before a tag publishes a version, `.ci/version` compares every place that names it."""

import importlib.machinery
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from gateway import __version__

PROJECT = Path(__file__).parents[2]
SCRIPT = PROJECT / ".ci" / "version"


@pytest.fixture
def script() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("version", str(SCRIPT))
    spec = importlib.util.spec_from_loader("version", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    previous, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    loader.exec_module(module)
    sys.dont_write_bytecode = previous
    return module


def tree(folder: Path, script: ModuleType) -> Path:
    """A copy of the files that name the version, with a changelog that has two sections."""
    for name in ("pyproject.toml", ".ci/version", *script.PLACES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / name, folder / name)
    sections = "## [Unreleased]", f"## [{__version__}] - 2026-01-31", "- One.", "## [0.0.1] - 2026-01-01", "- Two."
    (folder / "CHANGELOG.md").write_text("\n\n".join(["# Changelog", *sections, ""]))
    return folder


def asked(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(folder / ".ci" / "version"), *arguments], capture_output=True, text=True, check=False
    )


def test_every_place_names_the_version_of_today(script: ModuleType) -> None:
    assert script.written_versions() == {name: {__version__} for name in ("pyproject.toml", *script.PLACES)}


def test_the_versions_own_tag_is_taken(tmp_path: Path, script: ModuleType) -> None:
    done = asked(tree(tmp_path, script), f"v{__version__}")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"v{__version__}\n", "")


def test_the_notes_are_the_changelogs_section(tmp_path: Path, script: ModuleType) -> None:
    assert asked(tree(tmp_path, script), "--notes", f"v{__version__}").stdout == "- One.\n"


def test_another_tag_is_refused_with_each_place(tmp_path: Path, script: ModuleType) -> None:
    done = asked(tree(tmp_path, script), "v9.9.9")
    assert done.returncode == 1
    for name in ("pyproject.toml", *script.PLACES, "CHANGELOG.md"):
        assert f"v9.9.9: {name}" in done.stderr


@pytest.mark.parametrize(
    "name", ["Chart.yaml", "compose.yaml", "docker-bake.hcl", "kustomization.yaml", "CHANGELOG.md"]
)
def test_one_place_that_was_forgotten_is_told(tmp_path: Path, script: ModuleType, name: str) -> None:
    folder = tree(tmp_path, script)
    (path,) = folder.rglob(name)
    path.write_text(path.read_text().replace(__version__, "0.0.2"))
    done = asked(folder, f"v{__version__}")
    assert done.returncode == 1
    assert name in done.stderr


def test_the_document_lists_the_places(script: ModuleType) -> None:
    document = (PROJECT / "docs" / "releasing.md").read_text()
    assert [name for name in ("pyproject.toml", *script.PLACES, "CHANGELOG.md") if f"`{name}`" not in document] == []
