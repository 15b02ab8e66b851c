"""The workflows: linted by others' programs where these are, and held to rules of our own everywhere.

A workflow runs with rights. The rules say which job may have which of them, and that nothing which a stranger writes
(a title, a branch, the next release of an action) becomes a command.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.needed import missing

PROJECT = Path(__file__).parents[2]
WORKFLOWS = PROJECT / ".github" / "workflows"
FILES = sorted(WORKFLOWS.glob("*.yml"))
PINNED = re.compile(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v[0-9]+\.[0-9]+\.[0-9]+")
BY_STRANGERS = {"pull_request_target", "workflow_run", "issue_comment", "issues", "discussion"}
# What may write, and why: docs/releasing.md.
WRITES = {
    ("docs.yml", "publish"): {"pages", "id-token"},
    ("image.yml", "push"): {"packages", "id-token", "attestations"},
    ("release.yml", "attest"): {"id-token", "attestations"},
    ("release.yml", "pypi"): {"id-token"},
    ("release.yml", "notes"): {"contents"},
}
Workflow = dict[str, Any]


def parsed(text: str) -> Workflow:
    """A workflow by its text. YAML 1.1 reads the key `on` as true."""
    document = yaml.safe_load(text)
    return {("on" if key is True else key): value for key, value in document.items()}


def steps(workflow: Workflow) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, job in workflow["jobs"].items():
        for step in job.get("steps", []):
            yield name, step


def objections(name: str, text: str) -> list[str]:
    """What the rules say against the workflow `text` in the file `name`."""
    workflow = parsed(text)
    return [
        *_about_the_file(workflow, text),
        *(each for job, value in workflow["jobs"].items() for each in _about_a_job(name, job, value, workflow)),
        *(each for job, step in steps(workflow) for each in _about_a_step(job, step)),
    ]


def _about_the_file(workflow: Workflow, text: str) -> Iterator[str]:
    if workflow.get("permissions") != {}:
        yield "permissions: {} is missing at the top: jobs name what they need"
    if "concurrency" not in workflow:
        yield "two runs for one ref can overlap"
    for trigger in BY_STRANGERS & set(workflow["on"]):
        yield f"{trigger}: strangers start it with the repository's rights"
    for line in re.findall(r"uses: (.*)", text):
        if not PINNED.fullmatch(line):
            yield f"{line}: neither a commit nor its release beside it"
    for setting in re.findall(r"secrets\.\w+|repository-url|index-url|INDEX_URL|--registry", text):
        yield f"{setting}: no password and no other registry is needed"


def _about_a_job(name: str, job: str, value: dict[str, Any], workflow: Workflow) -> Iterator[str]:
    rights = value.get("permissions")
    if not isinstance(rights, dict):
        yield f"{job}: names no permissions"
        return
    written = {scope for scope, right in rights.items() if right == "write"}
    if written != WRITES.get((name, job), set()):
        yield f"{job}: may write {sorted(written)}"
    if written and "pull_request" in workflow["on"] and value.get("if") != "github.event_name == 'push'":
        yield f"{job}: would write for a pull request"
    if "timeout-minutes" not in value:
        yield f"{job}: may run for hours"
    if "latest" in str(value.get("runs-on")):
        yield f"{job}: its machine changes without notice"


def _about_a_step(job: str, step: dict[str, Any]) -> Iterator[str]:
    command = step.get("run", "")
    if "${{" in command:
        yield f"{job}: an expression in a command is text before it is a value; pass it in env"
    if (
        step.get("uses", "").startswith("actions/checkout@")
        and step.get("with", {}).get("persist-credentials") is not False
    ):
        yield f"{job}: the checkout leaves its token on the disk"
    for package in re.findall(r"pip\"? install (?:-\S+ )*([a-z][\w-]*(?:==\S+)?)", command):
        if "==" not in package:
            yield f"{job}: {package} without a version"
    for script in re.findall(r"(\.ci/\w+)", command):
        if not os.access(PROJECT / script, os.X_OK):
            yield f"{job}: {script} is not there"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_rules_have_nothing_against_it(path: Path) -> None:
    assert objections(path.name, path.read_text()) == []


def test_all_are_there() -> None:
    assert [path.name for path in FILES] == ["ci.yml", "compiled.yml", "docs.yml", "image.yml", "release.yml"]
    jobs = {(path.name, job) for path in FILES for job in parsed(path.read_text())["jobs"]}
    assert set(WRITES) <= jobs


def test_an_action_has_one_commit_everywhere() -> None:
    used = re.findall(r"uses: ([\w./-]+)@(\w+) # (\S+)", "".join(path.read_text() for path in FILES))
    assert len(set(used)) == len({name for name, _, _ in used})


CHECKOUT = "actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2"
SOUND = f"""
on: {{push: , pull_request: }}
permissions: {{}}
concurrency: one
jobs:
  build:
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    permissions: {{contents: read}}
    steps:
      - uses: {CHECKOUT}
        with: {{persist-credentials: false}}
      - run: pip install -q build==1.2.2
"""


def test_what_is_sound_is_taken() -> None:
    assert objections("ci.yml", SOUND) == []


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        ("permissions: {}\n", "", "permissions: {} is missing"),
        ("concurrency: one\n", "", "can overlap"),
        ("pull_request: ", "pull_request_target: ", "strangers"),
        (CHECKOUT, "actions/checkout@v4", "neither a commit"),
        (CHECKOUT, CHECKOUT.partition(" ")[0], "neither a commit"),
        ("persist-credentials: false", "fetch-depth: 1", "token on the disk"),
        ("contents: read", "contents: write", "may write ['contents']"),
        ("contents: read", "contents: write", "for a pull request"),
        ("    permissions: {contents: read}\n", "", "names no permissions"),
        ("{contents: read}", "write-all", "names no permissions"),
        ("    timeout-minutes: 5\n", "", "hours"),
        ("ubuntu-24.04", "ubuntu-latest", "without notice"),
        ("build==1.2.2", "build", "without a version"),
        ("pip install -q build==1.2.2", "echo ${{ github.head_ref }}", "pass it in env"),
        ("pip install -q build==1.2.2", ".ci/missing", ".ci/missing is not there"),
        ("pip install -q", "pip install --index-url x", "no other registry"),
        ("pip install -q build==1.2.2", "echo ${{ secrets.PYPI }}", "no password"),
    ],
)
def test_what_breaks_a_rule_is_told(was: str, becomes: str, said: str) -> None:
    assert was in SOUND
    assert any(said in each for each in objections("ci.yml", SOUND.replace(was, becomes)))


def test_only_a_tag_publishes() -> None:
    release = parsed((WORKFLOWS / "release.yml").read_text())
    assert set(release["on"]) == {"push"}
    assert set(release["on"]["push"]) == {"tags"}
    order = {name: job.get("needs", []) for name, job in release["jobs"].items()}
    assert order == {
        "tests": [],
        "source": [],
        "compiled": [],
        "attest": ["tests", "source", "compiled"],
        "pypi": "attest",
        "notes": "pypi",
    }
    assert release["jobs"]["pypi"]["environment"]["name"] == "pypi"


def test_each_platform_of_the_wheels_has_a_machine() -> None:
    wanted = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["cibuildwheel"]
    made = parsed((WORKFLOWS / "release.yml").read_text())["jobs"]["compiled"]["strategy"]["matrix"]["include"]
    for system, archs in (("ubuntu", wanted["linux"]["archs"]), ("macos", wanted["macos"]["archs"])):
        assert sorted(each["arch"] for each in made if each["runner"].startswith(system)) == sorted(archs)


def test_actionlint_has_nothing_to_say() -> None:
    found = os.environ.get("ACTIONLINT") or shutil.which("actionlint")
    if found is None:
        pytest.skip(
            "actionlint is neither in PATH nor named by ACTIONLINT; "
            "go install github.com/rhysd/actionlint/cmd/actionlint@latest makes it"
        )
    done = subprocess.run([found, *map(str, FILES)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_zizmor_has_nothing_to_say() -> None:
    beside_python = Path(sys.executable).with_name("zizmor")
    found = str(beside_python) if beside_python.is_file() else shutil.which("zizmor")
    if found is None:
        missing("no zizmor: pip install -e '.[dev]' brings it where PyPI has a wheel for this machine")
    done = subprocess.run(
        [found, "--offline", "--no-progress", str(PROJECT / ".github")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
