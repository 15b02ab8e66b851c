"""The page of the package index shows README.md; `.ci/addresses` makes its links lead to the repository."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
REPOSITORY = "https://git.example.com/owner/name"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("README.md", "pyproject.toml", ".ci/addresses"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(PROJECT / name, tmp_path / name)
    return tmp_path


def run(folder: Path) -> None:
    subprocess.run([sys.executable, str(folder / ".ci" / "addresses"), REPOSITORY, "v1.2.3"], check=True, timeout=60)


def links(text: str) -> list[str]:
    outside_of_code = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"\]\(([^)\s]+)\)", outside_of_code)


def test_every_link_is_absolute_and_leads_to_a_file_of_the_tag(tree: Path) -> None:
    before = links((tree / "README.md").read_text())
    run(tree)
    after = links((tree / "README.md").read_text())
    assert len(after) == len(before) > 10
    for link in after:
        assert link.startswith(("https://", "http://", "#", "mailto:")), link
        leads = re.fullmatch(rf"{re.escape(REPOSITORY)}/(?:blob|raw)/v1\.2\.3/([^#]+)(?:#.*)?", link)
        assert leads is None or (PROJECT / leads[1]).exists(), link


def test_pictures_are_the_files_themselves(tree: Path) -> None:
    run(tree)
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", (tree / "README.md").read_text())
    assert pictures == [f"{REPOSITORY}/raw/v1.2.3/docs/page.png"]


def test_nothing_but_links_changes(tree: Path) -> None:
    text = (tree / "README.md").read_text()
    run(tree)
    back = re.sub(rf"{re.escape(REPOSITORY)}/(?:blob|raw)/v1\.2\.3/", "", (tree / "README.md").read_text())
    assert back == text


def test_the_package_names_its_addresses_and_nothing_else_changes(tree: Path) -> None:
    before = tomllib.loads((tree / "pyproject.toml").read_text())
    run(tree)
    after = tomllib.loads((tree / "pyproject.toml").read_text())
    urls = after["project"].pop("urls")
    assert after == before
    assert urls["Source"] == REPOSITORY
    for name in ("Documentation", "Changelog"):
        assert (PROJECT / urls[name].removeprefix(f"{REPOSITORY}/blob/v1.2.3/")).is_file()


def test_each_job_that_builds_what_is_published_runs_it() -> None:
    text = (PROJECT / ".github" / "workflows" / "release.yml").read_text()
    jobs = {part.partition(":")[0]: part for part in re.split(r"^  (?=\w+:$)", text, flags=re.MULTILINE)[1:]}
    building = {name for name, job in jobs.items() if ".ci/wheels" in job or "cibuildwheel --output" in job}
    assert building == {"source", "compiled"}
    for name in building:
        assert jobs[name].index(".ci/addresses") < jobs[name].index(
            "--output-dir" if name == "compiled" else ".ci/wheels"
        )
