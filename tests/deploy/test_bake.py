"""deploy/docker-bake.hcl: read by a parser of its language, and by buildx where there is one."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.needed import missing

from gateway import __version__

PROJECT = Path(__file__).parents[2]
BAKE = PROJECT / "deploy" / "docker-bake.hcl"


def bare(value: Any) -> Any:
    """A value of the parser without the quotes and the marks that some of its releases leave in it."""
    if isinstance(value, str):
        return value.strip('"')
    if isinstance(value, list):
        return [bare(each) for each in value]
    if isinstance(value, dict):
        return {bare(name): bare(each) for name, each in value.items() if not name.startswith("__")}
    return value


@pytest.fixture(scope="module")
def blocks() -> dict[str, dict[str, Any]]:
    try:
        import hcl2
    except ImportError:
        missing("python-hcl2 is not installed; pip install -e '.[dev]' brings it")
    document = bare(hcl2.loads(BAKE.read_text()))
    return {
        kind: {k: v for each in document[kind] for k, v in each.items()} for kind in ("variable", "group", "target")
    }


def test_it_builds_the_dockerfile_of_the_root_with_this_version(blocks: dict[str, dict[str, Any]]) -> None:
    target = blocks["target"]["gateway"]
    assert (target["context"], target["dockerfile"]) == (".", "Dockerfile")
    assert (PROJECT / target["dockerfile"]).is_file()
    assert target["tags"] == ["${IMAGE}:${VERSION}"]
    assert blocks["variable"]["VERSION"] == {"default": __version__}
    assert blocks["group"]["default"]["targets"] == ["gateway"]


def test_a_release_is_for_both_platforms_and_says_what_is_in_it(blocks: dict[str, dict[str, Any]]) -> None:
    release = blocks["target"]["release"]
    assert release["inherits"] == ["gateway"]
    assert release["platforms"] == ["linux/amd64", "linux/arm64"]
    assert release["attest"] == ["type=provenance,mode=max", "type=sbom"]
    assert release["output"] == ["type=registry"]


def test_each_variable_is_used_and_each_that_is_used_is_there(blocks: dict[str, dict[str, Any]]) -> None:
    targets = json.dumps(blocks["target"])
    assert [name for name in blocks["variable"] if name not in targets] == []
    workflow = (PROJECT / ".github" / "workflows" / "image.yml").read_text()
    assert [name for name in blocks["variable"] if f"{name}=" not in workflow] == []


def test_buildx_understands_it() -> None:
    found = os.environ.get("BUILDX")
    if found is None:
        pytest.skip("BUILDX names no buildx; CONTRIBUTING.md says how it is built")
    done = subprocess.run(
        [found, "bake", "--file", str(BAKE), "--print", "default", "release"],
        cwd=PROJECT,
        env={"PATH": os.environ["PATH"], "IMAGE": "registry.example.com/gateway", "VERSION": "1.2.3"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)["target"]
    assert printed["release"]["tags"] == ["registry.example.com/gateway:1.2.3"]
    assert printed["release"]["labels"]["org.opencontainers.image.version"] == "1.2.3"
