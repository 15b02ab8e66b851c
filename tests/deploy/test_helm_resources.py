"""Each resource that the chart can make, and what it is there for."""

import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, ValidationError
from support.chart import CHART, EVERYTHING, VALUES, Resource, Resources, helm, one, rendered
from support.deployed import DEPLOY

SELECTOR = {"app.kubernetes.io/name": "gateway", "app.kubernetes.io/instance": "gateway"}
TEXT = {"type": "string", "minLength": 1}
LABELS = {"type": "object", "additionalProperties": TEXT}


def closed(*, optional: tuple[str, ...] = (), **members: Any) -> dict[str, Any]:
    """A schema of objects with exactly these members, of which some may be left out."""
    required = sorted(set(members) - set(optional))
    return {"type": "object", "properties": members, "required": required, "additionalProperties": False}


def several(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "items": item}


# What the Prometheus operator's definitions say of the members that the chart writes (monitoring.coreos.com/v1).
OPERATOR = {
    "ServiceMonitor": closed(
        jobLabel=TEXT,
        selector=closed(matchLabels=LABELS),
        endpoints=several(closed(port=TEXT, path=TEXT, interval={"pattern": "^[0-9]+(ms|s|m|h)$"})),
    ),
    "PrometheusRule": closed(
        groups=several(
            closed(
                name=TEXT,
                rules=several(
                    closed(optional=("for",), alert=TEXT, expr=TEXT, labels=LABELS, annotations=LABELS, **{"for": TEXT})
                ),
            )
        )
    ),
}


@pytest.fixture
def resources(tmp_path: Path) -> Resources:
    return rendered(tmp_path, EVERYTHING)


def pod(resources: Resources) -> dict[str, Any]:
    spec: dict[str, Any] = one(resources, "Deployment")["spec"]["template"]["spec"]
    return spec


def test_it_makes_all_that_a_cluster_can_use(resources: Resources) -> None:
    assert sorted((each["kind"], each["metadata"]["name"]) for each in resources) == [
        ("ConfigMap", "gateway"),
        ("ConfigMap", "gateway-dashboard"),
        ("Deployment", "gateway"),
        ("HTTPRoute", "gateway"),
        ("HorizontalPodAutoscaler", "gateway"),
        ("Ingress", "gateway"),
        ("NetworkPolicy", "gateway"),
        ("PodDisruptionBudget", "gateway"),
        ("PrometheusRule", "gateway"),
        ("Service", "gateway"),
        ("Service", "gateway-admin"),
        ("ServiceAccount", "gateway"),
        ("ServiceMonitor", "gateway"),
    ]
    for each in resources:
        assert SELECTOR.items() <= each["metadata"]["labels"].items(), each["kind"]


@pytest.mark.parametrize("kind", sorted(OPERATOR))
def test_what_the_operator_reads_has_its_form(resources: Resources, kind: str) -> None:
    found = one(resources, kind)
    assert found["apiVersion"] == "monitoring.coreos.com/v1"
    Draft202012Validator(OPERATOR[kind]).validate(found["spec"])


def test_the_form_would_see_a_misspelt_member(resources: Resources) -> None:
    spec = one(resources, "ServiceMonitor")["spec"]
    with pytest.raises(ValidationError):
        Draft202012Validator(OPERATOR["ServiceMonitor"]).validate(spec | {"endpoint": []})


def test_the_route_has_the_form_of_the_gateway_api(resources: Resources) -> None:
    folder = os.environ.get("GATEWAY_API", "")
    if not folder:
        pytest.skip("GATEWAY_API does not name a copy of the module sigs.k8s.io/gateway-api; CONTRIBUTING.md has more")
    text = (Path(folder) / "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml").read_text()
    (definition,) = (each for each in yaml.safe_load(text)["spec"]["versions"] if each["name"] == "v1")
    schema = definition["schema"]["openAPIV3Schema"]
    route = one(resources, "HTTPRoute")
    assert [error.message for error in Draft202012Validator(schema).iter_errors(route)] == []
    assert unknown(route["spec"], schema["properties"]["spec"]) == []


def unknown(value: Any, schema: dict[str, Any]) -> list[str]:
    """Members that the schema does not have: Kubernetes drops them silently."""
    if isinstance(value, list):
        return [each for item in value for each in unknown(item, schema["items"])]
    if not isinstance(value, dict) or "properties" not in schema:
        return []
    known = schema["properties"]
    strange = [name for name in value if name not in known]
    return strange + [each for name in value if name in known for each in unknown(value[name], known[name])]


def test_the_number_of_pods_follows_their_cpu(resources: Resources) -> None:
    spec = one(resources, "HorizontalPodAutoscaler")["spec"]
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "gateway"}
    (metric,) = spec["metrics"]
    assert metric["resource"] == {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 12)
    assert "replicas" not in one(resources, "Deployment")["spec"]  # an upgrade would reset what the autoscaler chose
    (container,) = pod(resources)["containers"]
    assert "cpu" in container["resources"]["requests"]  # a share is one of the request


def test_without_the_autoscaler_the_number_is_written(tmp_path: Path) -> None:
    made = rendered(tmp_path, {"autoscaling": {"enabled": False}, "replicas": 5})
    assert one(made, "Deployment")["spec"]["replicas"] == 5
    assert "HorizontalPodAutoscaler" not in {each["kind"] for each in made}


def test_a_drain_takes_one_pod_at_a_time(resources: Resources) -> None:
    spec = one(resources, "PodDisruptionBudget")["spec"]
    assert (spec["maxUnavailable"], spec["selector"]["matchLabels"]) == (1, SELECTOR)


def test_pods_are_spread_over_nodes_and_zones(resources: Resources) -> None:
    spread = pod(resources)["topologySpreadConstraints"]
    assert [each["topologyKey"] for each in spread] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    assert all(each["labelSelector"]["matchLabels"] == SELECTOR for each in spread)


def test_the_admin_port_is_for_those_who_are_named(resources: Resources) -> None:
    spec = one(resources, "NetworkPolicy")["spec"]
    assert (spec["podSelector"]["matchLabels"], spec["policyTypes"]) == (SELECTOR, ["Ingress", "Egress"])
    sources = {rule["ports"][0]["port"]: rule.get("from") for rule in spec["ingress"]}
    assert sources == {"http": None, "admin": VALUES["networkPolicy"]["adminFrom"]}
    assert spec["egress"][1:] == VALUES["networkPolicy"]["egress"]


@pytest.mark.parametrize("kind", ["Ingress", "HTTPRoute"])
def test_what_leads_in_leads_to_the_public_port(resources: Resources, kind: str) -> None:
    spec = one(resources, kind)["spec"]
    (port,) = one(resources, "Service")["spec"]["ports"]
    if kind == "Ingress":
        (rule,) = spec["rules"]
        (path,) = rule["http"]["paths"]
        assert (rule["host"], path["path"]) == ("api.example.com", "/")
        assert path["backend"]["service"] == {"name": "gateway", "port": {"name": port["name"]}}
        assert spec["tls"] == [{"secretName": "api-tls", "hosts": ["api.example.com"]}]
    else:
        assert spec["rules"] == [{"backendRefs": [{"name": "gateway", "port": port["port"]}]}]
        assert (spec["hostnames"], spec["parentRefs"]) == (["api.example.com"], EVERYTHING["httpRoute"]["parents"])


def secrets(resources: Resources) -> list[Resource]:
    (volume,) = (each for each in pod(resources)["volumes"] if each["name"] == "secrets")
    assert volume["projected"]["defaultMode"] == 0o440
    return [source["secret"] for source in volume["projected"]["sources"]]


def test_secrets_are_those_of_the_cluster_and_never_made(resources: Resources, tmp_path: Path) -> None:
    assert "Secret" not in {each["kind"] for each in resources}
    assert secrets(rendered(tmp_path)) == [{"name": "gateway-secrets"}]


def test_redis_may_be_named_by_the_secret_of_whoever_runs_it(resources: Resources) -> None:
    referred = {"name": "redis-access", "items": [{"key": "url", "path": "redis_url"}]}
    assert secrets(resources) == [{"name": "gateway-secrets"}, referred]
    held = yaml.safe_load(one(resources, "ConfigMap")["data"]["gateway.yaml"])
    assert held["cache"]["redis_file"] == "/run/secrets/gateway/redis_url"


def test_as_it_is_it_makes_nothing_that_needs_an_operator(tmp_path: Path) -> None:
    kinds = {each["kind"] for each in rendered(tmp_path)}
    assert kinds & {"ServiceMonitor", "PrometheusRule", "HTTPRoute", "Ingress"} == set()


def test_packed_it_makes_the_same_and_has_rules_and_dashboard_as_files(tmp_path: Path) -> None:
    done = helm("package", str(CHART), "--destination", str(tmp_path))
    assert done.returncode == 0, done.stderr
    (packed,) = tmp_path.glob("gateway-*.tgz")
    with tarfile.open(packed) as archive:
        shown = archive.extractfile("gateway/files/dashboard.json")
        assert shown is not None
        assert json.load(shown) == json.loads((DEPLOY / "grafana/dashboards/gateway.json").read_text())
    assert rendered(tmp_path, EVERYTHING, packed) == rendered(tmp_path, EVERYTHING)
