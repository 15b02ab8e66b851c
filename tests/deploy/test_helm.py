"""The Helm chart, rendered by Helm itself: what it makes is sound, and the same as the manifests where both speak."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from support.chart import CHART, CUSTOM, EVERYTHING, VALUES, helm, one, rendered, rendering
from support.deployed import DEPLOY, documents

from gateway import __version__
from gateway.config.load import load_text


def test_the_chart_is_of_this_release() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)


def test_its_file_passes_the_check(tmp_path: Path) -> None:
    for name in ("client_secret", "cache_secret", "admin_token", "redis_url"):
        (tmp_path / name).write_text("redis://redis:6379/0" if name == "redis_url" else "x" * 32)
    text = yaml.safe_dump(VALUES["config"]).replace("/run/secrets/gateway", str(tmp_path))
    config = load_text(text, "gateway.yaml", environ={}, directory=tmp_path)
    assert config.server.drain_delay + config.server.shutdown_timeout < 60


def test_helm_finds_nothing_to_say_about_it() -> None:
    done = helm("lint", "--strict", "--kube-version", "1.31.0", str(CHART))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["as it is", "everything"])
def test_what_it_makes_is_valid_and_nothing_in_it_is_unknown(tmp_path: Path, values: dict[str, Any]) -> None:
    resources = rendered(tmp_path, values)
    for each in resources:
        if each["kind"] not in CUSTOM:
            kubernetes_validate.validate(each, kubernetes_validate.latest_version(), strict=True)
    made = {each["kind"] for each in resources}
    assert made >= {"Deployment", "Service", "ConfigMap", "HorizontalPodAutoscaler", "PodDisruptionBudget"}
    assert (made >= CUSTOM | {"Ingress"}) is bool(values)


def test_the_pods_are_those_of_the_manifests(tmp_path: Path) -> None:
    (manifest,) = [each for each in documents("kubernetes/deployment.yaml") if each["kind"] == "Deployment"]
    ours, theirs = (each["spec"]["template"]["spec"] for each in (one(rendered(tmp_path), "Deployment"), manifest))
    assert ours["securityContext"] == theirs["securityContext"]
    assert ours["terminationGracePeriodSeconds"] == theirs["terminationGracePeriodSeconds"]
    (container,), (wanted,) = ours["containers"], theirs["containers"]
    same = ("ports", "startupProbe", "livenessProbe", "readinessProbe", "securityContext", "volumeMounts", "resources")
    assert {key: container[key] for key in same} == {key: wanted[key] for key in same}


def test_a_pod_checks_its_file_before_it_serves(tmp_path: Path) -> None:
    pod = one(rendered(tmp_path), "Deployment")["spec"]["template"]["spec"]
    (check,), (serving,) = pod["initContainers"], pod["containers"]
    assert check["args"] == ["check", "-c", "/etc/gateway/gateway.yaml"]
    assert (check["image"], check["volumeMounts"]) == (serving["image"], serving["volumeMounts"])
    assert serving["image"] == f"gateway:{__version__}"


def test_a_change_of_the_file_rolls_the_pods(tmp_path: Path) -> None:
    def mark(values: dict[str, Any]) -> str:
        return str(one(rendered(tmp_path, values), "Deployment")["spec"]["template"]["metadata"]["annotations"])

    changed = {"config": {"cache": {"ttl": "30s"}}}
    assert mark({}) != mark(changed)
    held = yaml.safe_load(one(rendered(tmp_path, changed), "ConfigMap")["data"]["gateway.yaml"])
    assert held["cache"] == {**VALUES["config"]["cache"], "ttl": "30s"}


def test_rules_and_dashboard_are_those_of_the_project(tmp_path: Path) -> None:
    resources = rendered(tmp_path, EVERYTHING)
    assert one(resources, "PrometheusRule")["spec"] == yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())
    shown = json.loads(one(resources, "ConfigMap", "gateway-dashboard")["data"]["gateway.json"])
    assert shown == json.loads((DEPLOY / "grafana/dashboards/gateway.json").read_text())


def test_only_the_admin_service_leads_to_the_admin_port(tmp_path: Path) -> None:
    resources = rendered(tmp_path, EVERYTHING)
    assert [port["name"] for port in one(resources, "Service")["spec"]["ports"]] == ["http"]
    assert [port["name"] for port in one(resources, "Service", "gateway-admin")["spec"]["ports"]] == ["admin"]
    monitored = one(resources, "ServiceMonitor")["spec"]["selector"]["matchLabels"]
    assert monitored["app.kubernetes.io/component"] == "admin"


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"image": {"repositry": "x"}}, "repositry"),
        ({"service": {"port": "eighty"}}, "port"),
        ({"existingSecret": ""}, "existingSecret"),
        ({"redis": {"secret": "x"}}, "secret"),
        ({"autoscaling": {"minReplicas": 0}}, "minReplicas"),
        ({"autoscaling": {"minReplicas": 9, "maxReplicas": 3}}, "minReplicas is above maxReplicas"),
        ({"httpRoute": {"enabled": True}}, "parents"),
        ({"ingress": {"enabled": True, "hosts": []}}, "hosts"),
    ],
)
def test_wrong_values_are_refused_by_their_name(tmp_path: Path, values: dict[str, Any], named: str) -> None:
    done = rendering(tmp_path, values)
    assert done.returncode != 0
    assert named in done.stderr
