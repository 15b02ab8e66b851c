"""The dashboard is what its generator writes, and one dashboard is shown everywhere."""

import json
import subprocess
import sys
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest
from support.deployed import DEPLOY, document

GRAFANA = DEPLOY / "grafana"
FILE = GRAFANA / "dashboards" / "gateway.json"
COLUMNS = 24
Panel = dict[str, Any]


@pytest.fixture(scope="module")
def panels() -> list[Panel]:
    return list(json.loads(FILE.read_text())["panels"])


def test_the_file_in_the_repository_is_what_the_generator_writes() -> None:
    done = subprocess.run(
        [sys.executable, "-B", str(GRAFANA / "dashboard.py")], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == FILE.read_text(), "python deploy/grafana/dashboard.py writes it anew"


def test_compose_and_the_chart_have_that_file_and_no_other() -> None:
    chart = DEPLOY / "helm" / "gateway" / "files" / "dashboard.json"
    assert chart.read_bytes() == FILE.read_bytes()
    volumes = document("compose/compose.yaml")["services"]["grafana"]["volumes"]
    (mounted,) = [line.split(":")[0] for line in volumes if "dashboards" in line]
    assert (DEPLOY / "compose" / mounted).resolve() == FILE.parent
    assert [path for path in DEPLOY.rglob("*.json") if '"schemaVersion"' in path.read_text()] in (
        [FILE, chart],
        [chart, FILE],
    )


def test_no_macro_of_the_generator_is_left(panels: list[Panel]) -> None:
    for panel in panels:
        for target in panel["targets"]:
            assert "@" not in target["expr"], panel["title"]
            assert target["expr"].count("(") == target["expr"].count(")"), panel["title"]


def test_panels_fit_on_the_page_and_none_covers_another(panels: list[Panel]) -> None:
    places = [panel["gridPos"] for panel in panels]
    assert all(place["x"] + place["w"] <= COLUMNS for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)


def test_each_question_has_panels_and_each_panel_its_own_title(panels: list[Panel]) -> None:
    titles = [panel["title"] for panel in panels]
    assert len(set(titles)) == len(titles)
    kinds = [panel["type"] for panel in panels]
    assert kinds[0] == "row"
    assert kinds[-1] != "row"
    assert ("row", "row") not in set(pairwise(kinds))


def test_every_chosen_variable_is_there_and_used() -> None:
    text = FILE.read_text()
    names = [variable["name"] for variable in json.loads(text)["templating"]["list"]]
    assert [name for name in names if f"${name}" not in text and f"${{{name}}}" not in text] == []


def test_the_generator_needs_nothing_but_python(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-B", "-S", str(GRAFANA / "dashboard.py")],
        cwd=tmp_path,
        env={},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
