import json
import re
import shutil
import subprocess

import pytest
import yaml
from support.deployed import DEPLOY, document
from support.needed import missing

from gateway.observe.families import FAMILIES

ALERTS = DEPLOY / "prometheus" / "alerts.yml"
ALERTS_TEST = DEPLOY / "prometheus" / "alerts_test.yml"
SERIES = {
    name: {*family.labels, *(["le"] if name.endswith("_bucket") else [])}
    for family in FAMILIES
    for name in (
        [f"{family.name}_{part}" for part in ("bucket", "sum", "count")]
        if family.kind == "histogram"
        else [family.name]
    )
}
# Put there by Prometheus at the scrape.
TARGET_LABELS = {"job", "instance"}


@pytest.fixture(scope="module")
def promtool():
    found = shutil.which("promtool")
    if found is None:
        missing("no promtool on the PATH; Debian has it in the package prometheus")
    return found


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def expressions() -> list[str]:
    dashboard = json.loads((DEPLOY / "grafana" / "dashboards" / "gateway.json").read_text())
    return [
        *(rule["expr"] for group in document("prometheus/alerts.yml")["groups"] for rule in group["rules"]),
        *(target["expr"] for panel in dashboard["panels"] for target in panel["targets"]),
        *(variable["definition"] for variable in dashboard["templating"]["list"]),
        *(test["series"] for each in document("prometheus/alerts_test.yml")["tests"] for test in each["input_series"]),
    ]


def test_the_alerts_are_valid(promtool):
    assert "SUCCESS" in run(promtool, "check", "rules", str(ALERTS))


def test_the_alerts_fire_when_they_should_and_not_before(promtool):
    assert "SUCCESS" in run(promtool, "test", "rules", str(ALERTS_TEST))


def test_an_alert_that_never_fires_would_be_seen(promtool, tmp_path):
    rules = document("prometheus/alerts.yml")
    for rule in rules["groups"][0]["rules"]:
        name, expression = rule["alert"], rule["expr"]
        rule["expr"] = "vector(1) > 2"
        tmp_path.joinpath("alerts.yml").write_text(yaml.safe_dump(rules))
        copy = shutil.copy(ALERTS_TEST, tmp_path)
        done = subprocess.run([promtool, "test", "rules", copy], capture_output=True, timeout=120, check=False)
        assert done.returncode != 0, f"no test notices that {name} is gone"
        rule["expr"] = expression


def test_the_scrape_configuration_is_valid(promtool):
    run(promtool, "check", "config", "--syntax-only", str(DEPLOY / "compose" / "prometheus.yml"))


def test_every_metric_and_label_in_alerts_and_dashboard_is_one_that_the_gateway_exports():
    for expression in expressions():
        for name, selector in re.findall(r"\b((?:gateway|process)_\w+)(?:\{([^}]*)\})?", expression):
            assert name in SERIES, expression
            used = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector))
            assert used <= SERIES[name] | TARGET_LABELS, expression


def rules() -> list[dict]:
    return [rule for group in document("prometheus/alerts.yml")["groups"] for rule in group["rules"]]


def test_each_alert_has_its_section_in_the_runbook_and_each_section_its_alert():
    text = (DEPLOY.parent / "docs" / "runbook.md").read_text()
    sections = dict(re.findall(r"^## (\w+)\n\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    assert sorted(sections) == sorted(rule["alert"] for rule in rules())
    for name, section in sections.items():
        assert re.findall(r"^\*\*(.*?):\*\*", section, re.MULTILINE) == ["Means", "Look at", "Do"], name
    for rule in rules():
        assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{rule['alert'].lower()}"


def test_each_alert_says_how_urgent_it_is():
    assert {rule["labels"]["severity"] for rule in rules()} == {"critical", "warning"}


def test_no_rule_and_no_panel_knows_the_name_of_a_job():
    for expression in (rule["expr"] for rule in rules()):
        assert 'job="' not in expression
    dashboard = (DEPLOY / "grafana" / "dashboards" / "gateway.json").read_text()
    assert re.findall(r'job=~?\\"([^\\"]*)', dashboard) != []
    assert set(re.findall(r'job=~?\\"([^\\"]*)', dashboard)) == {"$job"}


def test_the_dashboard_takes_its_data_source_from_a_variable_and_has_thresholds_and_rows():
    dashboard = json.loads((DEPLOY / "grafana" / "dashboards" / "gateway.json").read_text())
    asked = json.dumps(dashboard)
    assert set(re.findall(r'"uid": "([^"]*)"', asked)) == {"gateway", "${datasource}"}
    assert [panel["title"] for panel in dashboard["panels"] if panel["type"] == "row"] != []
    first = [panel for panel in dashboard["panels"] if panel["type"] == "stat"][:6]
    assert all("thresholds" in panel["fieldConfig"]["defaults"] for panel in first)
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in dashboard["panels"]]
    assert len(set(places)) == len(places)
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(places)


def test_every_query_of_the_dashboard_is_promql(promtool, tmp_path):
    dashboard = json.loads((DEPLOY / "grafana" / "dashboards" / "gateway.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    written = [{"record": f"panel:{n}", "expr": one.replace("$__rate_interval", "5m")} for n, one in enumerate(asked)]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": written}]}))
    assert "SUCCESS" in run(promtool, "check", "rules", str(file))


def test_the_dashboard_shows_every_metric():
    shown = " ".join(expressions())
    assert [f.name for f in FAMILIES if f.name not in shown] == []
