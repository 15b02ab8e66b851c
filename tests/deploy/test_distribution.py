import re
import subprocess
import tomllib
from importlib.metadata import metadata
from pathlib import Path

import pytest

import gateway

PROJECT = Path(__file__).parents[2]
NAME = "introspection-gateway"
# The bare name, where a distribution's name is meant: an extra, a version, a wheel, an argument of an installer.
OLD = re.compile(
    r"""(?<![\w-])gateway(?:\[\w+\]|\s?[=~<>!]=|-[0-9*][\w.*-]*\.(?:whl|tar\.gz))   # gateway[otel], gateway>=1
    |\bversion\(["']gateway["']\)
    |\bpip\ install(?:\ -\S+)*\ ["']?gateway\b(?![/-])
    |\buv\ (?:pip\ install|add|tool\ install)(?:\ -\S+)*\ ["']?gateway\b(?![/-])
    |\b(?:pipx\ install|uvx)\ ["']?gateway\b(?![/-])
    |pypi\.org/p(?:roject)?/gateway\b
    """,
    re.VERBOSE,
)


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a clone: git lists no files")
    return [PROJECT / name for name in listed.stdout.split("\0") if name and (PROJECT / name).is_file()]


def test_the_distribution_has_one_name_everywhere() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert project["name"] == gateway.DISTRIBUTION == NAME
    assert project["scripts"] == {"gateway": "gateway.cli:main"}
    assert metadata(NAME)["Name"] == NAME


def test_nothing_installs_the_package_by_the_name_of_another_project() -> None:
    found = [
        f"{path.relative_to(PROJECT)}:{number}: {line.strip()}"
        for path in tracked()
        if path != Path(__file__) and path.suffix not in {".png", ".svg"}
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if OLD.search(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("line", "is_old"),
    [
        ("pip install gateway", True),
        (".venv/bin/pip install -q 'gateway[otel]'", True),
        ("uv tool install gateway", True),
        ('version("gateway")', True),
        ("dist/gateway-0.1.0-py3-none-any.whl", True),
        ("wheels/gateway-*.whl", True),
        ("gateway>=0.1", True),
        ("pip install introspection-gateway", False),
        ("introspection-gateway[test]", False),
        ("introspection_gateway-*.whl", False),
        ("helm install gateway deploy/helm/gateway", False),
    ],
)
def test_what_counts_as_the_old_name(line: str, is_old: bool) -> None:
    assert bool(OLD.search(line)) is is_old
