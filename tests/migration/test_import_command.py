"""`gateway import oathkeeper`: what it writes where, and its exit statuses."""

import json
import re

import pytest
from click.testing import CliRunner

from gateway.cli import main

RULES = [
    {
        "id": "orders",
        "match": {"url": "https://api.example.com/orders/<**>", "methods": ["GET"]},
        "upstream": {"url": "http://orders:8000"},
        "authenticators": [{"handler": "oauth2_introspection"}],
        "authorizer": {"handler": "allow"},
        "mutators": [{"handler": "noop"}],
    }
]


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.json").write_text(json.dumps(RULES))
    (tmp_path / "oathkeeper.yaml").write_text("access_rules: {matching_strategy: glob}\n")

    def invoke(*arguments: str):
        return CliRunner().invoke(main, ["import", "oathkeeper", *arguments])

    return invoke


def test_the_file_goes_to_standard_output_and_passes_the_check(run, tmp_path):
    done = run("rules.json", "--config", "oathkeeper.yaml")
    assert done.exit_code == 0
    assert re.findall("^note: .*$", done.stderr, re.MULTILINE) == done.stderr.splitlines()
    (tmp_path / "gateway.yaml").write_text(done.stdout)
    assert CliRunner().invoke(main, ["check", str(tmp_path / "gateway.yaml")]).exit_code == 0


def test_what_is_not_carried_over_is_told_and_is_a_no(run):
    done = run("rules.json")  # <**> is no regular expression
    assert done.exit_code == 1
    assert "rules.json: [0] orders: not carried over: " in done.stderr
    assert "not_carried_over: true" in done.stdout
    assert run("rules.json", "--matching-strategy", "glob").exit_code == 0


def test_demands_of_a_configuration_that_is_not_named_are_told(run):
    assert "note: what Oathkeeper's own configuration demands of tokens" in run("rules.json").stderr
    assert "own configuration" not in run("rules.json", "-c", "oathkeeper.yaml").stderr


def test_a_file_is_written_once(run, tmp_path):
    assert run("rules.json", "-c", "oathkeeper.yaml", "-o", "gateway.yaml").stdout == ""
    assert (
        (tmp_path / "gateway.yaml").read_text().startswith("# Made by `gateway import oathkeeper` from rules.json.\n")
    )
    again = run("rules.json", "-o", "gateway.yaml")
    assert (again.exit_code, "cannot be written" in again.stderr) == (2, True)


@pytest.mark.parametrize("text", ["{", "a: [", "5", "[1]", "", "- !!python/name:os.system x\n", "[" * 5000])
def test_a_file_that_cannot_be_used_is_a_2_with_one_line(run, tmp_path, text):
    (tmp_path / "rules.yaml").write_text(text)
    done = run("rules.yaml")
    assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert "; " in done.stderr
    (tmp_path / "settings.yaml").write_text(text)
    assert run("rules.json", "-c", "settings.yaml").exit_code == 2


def test_another_gateway_is_not_known(run):
    assert CliRunner().invoke(main, ["import", "kong", "rules.json"]).exit_code == 2
