import hashlib
import subprocess
import tomllib
from typing import Any

import kubernetes_validate
import pytest
from support.deployed import DEPLOY, SPARE_S, document, documents, stopping_s, text_with_secrets_in

from gateway.config.load import load_text

FOLDER = "kubernetes"
KUSTOMIZATION = document(f"{FOLDER}/kustomization.yaml")
RESOURCES = [resource for file in KUSTOMIZATION["resources"] for resource in documents(f"{FOLDER}/{file}")]
CUSTOM = {"ServiceMonitor"}  # the Prometheus operator's; Kubernetes has no schema for it
LABELS = {"app.kubernetes.io/name": "gateway"}
SECRETS = ["client_secret", "cache_secret", "admin_token", "redis_url"]


def one(kind: str, name: str = "gateway") -> dict[str, Any]:
    (found,) = [r for r in RESOURCES if r["kind"] == kind and r["metadata"]["name"] == name]
    return found


POD = one("Deployment")["spec"]["template"]
(CONTAINER,) = POD["spec"]["containers"]
PORTS = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}


@pytest.fixture
def gateway(tmp_path):
    text = text_with_secrets_in(f"{FOLDER}/gateway.yaml", "/run/secrets/gateway", tmp_path, SECRETS)
    return load_text(text, "gateway.yaml", environ={}, directory=tmp_path)


def test_every_file_is_part_of_the_kustomization():
    files = {path.name for path in (DEPLOY / FOLDER).iterdir()} - {"kustomization.yaml"}
    assert files == {*KUSTOMIZATION["resources"], *KUSTOMIZATION["configMapGenerator"][0]["files"]}


@pytest.mark.parametrize("resource", [r for r in RESOURCES if r["kind"] not in CUSTOM], ids=lambda r: r["kind"])
def test_manifests_are_valid_for_kubernetes_and_nothing_in_them_is_unknown(resource):
    kubernetes_validate.validate(resource, kubernetes_validate.latest_version(), strict=True)


def test_the_check_would_see_a_misspelt_key():
    wrong = {**one("PodDisruptionBudget"), "spec": {"maxUnavailabel": 1}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, kubernetes_validate.latest_version(), strict=True)


def test_the_service_monitor_finds_the_admin_port_of_the_admin_service():
    monitor = one("ServiceMonitor")
    assert monitor["apiVersion"] == "monitoring.coreos.com/v1"
    assert set(monitor["spec"]) == {"jobLabel", "selector", "endpoints"}
    admin = one("Service", "gateway-admin")
    wanted = monitor["spec"]["selector"]["matchLabels"]
    found = [r["metadata"]["name"] for r in RESOURCES if r["kind"] == "Service" and selects(wanted, labels(r))]
    assert found == ["gateway-admin"]
    assert labels(admin)[monitor["spec"]["jobLabel"]] == "gateway"
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in admin["spec"]["ports"]}
    assert endpoint["path"] == "/metrics"


def labels(resource: dict[str, Any]) -> dict[str, str]:
    return resource["metadata"]["labels"]


def selects(selector: dict[str, str], found: dict[str, str]) -> bool:
    return selector.items() <= found.items()


def test_the_image_is_this_version_and_names_no_registry():
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]
    assert KUSTOMIZATION["images"] == [{"name": CONTAINER["image"], "newTag": project["version"]}]
    assert CONTAINER["image"] == "gateway"


def test_every_selector_selects_the_gateways_pods():
    assert labels(POD) == LABELS
    assert one("Deployment")["spec"]["selector"]["matchLabels"] == LABELS
    assert one("Service")["spec"]["selector"] == LABELS
    assert one("Service", "gateway-admin")["spec"]["selector"] == LABELS
    assert one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == LABELS
    assert one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == LABELS
    assert all(c["labelSelector"]["matchLabels"] == LABELS for c in POD["spec"]["topologySpreadConstraints"])
    target = one("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", one("Deployment")["metadata"]["name"])


def test_every_named_port_is_one_of_the_container():
    probes = [CONTAINER[f"{kind}Probe"]["httpGet"]["port"] for kind in ("startup", "liveness", "readiness")]
    own = [r for r in RESOURCES if r["kind"] == "Service" and r["metadata"]["name"] != "redis"]
    services = [p["targetPort"] for r in own for p in r["spec"]["ports"]]
    admitted = [p["port"] for rule in one("NetworkPolicy")["spec"]["ingress"] for p in rule["ports"]]
    assert probes == ["admin"] * 3
    assert set(services) == set(admitted) == set(PORTS)


def test_the_gateways_file_listens_on_the_containers_ports(gateway):
    assert {"http": gateway.server.listen.port, "admin": gateway.admin.listen.port} == PORTS
    assert gateway.server.listen.host == gateway.admin.listen.host == "0.0.0.0"


def test_the_gateways_file_is_mounted_where_the_image_reads_it():
    (generated,) = KUSTOMIZATION["configMapGenerator"]
    volumes = {volume["name"]: volume for volume in POD["spec"]["volumes"]}
    assert volumes["config"]["configMap"]["name"] == generated["name"]
    mounts = {mount["name"]: mount["mountPath"] for mount in CONTAINER["volumeMounts"]}
    assert set(mounts) == set(volumes)
    assert f'"{mounts["config"]}/gateway.yaml"' in (DEPLOY.parent / "Dockerfile").read_text()


def test_secrets_come_as_files_that_the_kustomization_says_how_to_make():
    mounts = {mount["name"]: mount["mountPath"] for mount in CONTAINER["volumeMounts"]}
    text = (DEPLOY / FOLDER / "gateway.yaml").read_text()
    how = (DEPLOY / FOLDER / "kustomization.yaml").read_text()
    for name in SECRETS:
        assert f"_file: {mounts['secrets']}/{name}\n" in text
        assert f"--from-file={name}" in how
    assert "env" not in CONTAINER


def test_the_pod_meets_the_restricted_profile_on_a_read_only_root():
    pod, container = POD["spec"]["securityContext"], CONTAINER["securityContext"]
    assert labels(one("Namespace"))["pod-security.kubernetes.io/enforce"] == "restricted"
    assert pod["runAsNonRoot"] is True
    assert pod["runAsUser"] > 0
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["allowPrivilegeEscalation"] is False
    assert container["readOnlyRootFilesystem"] is True
    assert container["capabilities"] == {"drop": ["ALL"]}
    assert f"USER {pod['runAsUser']}:{pod['runAsGroup']}" in (DEPLOY.parent / "Dockerfile").read_text()


def test_a_pod_has_time_to_drain(gateway):
    assert POD["spec"]["terminationGracePeriodSeconds"] >= stopping_s(gateway.server) + SPARE_S


def test_a_pod_accepts_until_everybody_knows_that_it_ends(gateway):
    probe = CONTAINER["readinessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] < gateway.server.drain_delay
    assert "lifecycle" not in CONTAINER  # a preStop sleep would come on top, and needs Kubernetes 1.30


def test_the_policy_lets_the_gateway_reach_its_redis_and_its_backends(gateway):
    reached = {
        (to["podSelector"]["matchLabels"]["app.kubernetes.io/name"], port["port"])
        for rule in one("NetworkPolicy")["spec"]["egress"]
        for to in rule.get("to", [])
        if "podSelector" in to
        for port in rule["ports"]
    }
    backends = {(backend.url.host, backend.url.port) for route in gateway.routes for backend in route.backend}
    assert reached == {*backends, ("redis", 6379)}


def test_redis_admits_the_gateways_pods_alone_and_knows_its_user_alone():
    policy, pod = one("NetworkPolicy", "redis")["spec"], one("Deployment", "redis")["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    assert selects(policy["podSelector"]["matchLabels"], labels(pod))
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["egress"] == []
    assert policy["ingress"] == [{"from": [{"podSelector": {"matchLabels": LABELS}}], "ports": [{"port": "redis"}]}]
    mounted = container["volumeMounts"][0]["mountPath"]
    assert container["args"][-2:] == ["--aclfile", f"{mounted}/users.acl"]
    how = (DEPLOY / FOLDER / "kustomization.yaml").read_text()
    assert f"secret generic {pod['spec']['volumes'][0]['secret']['secretName']} --from-file=users.acl" in how
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_secrets_are_made_as_the_kustomization_says(tmp_path):
    lines = (DEPLOY / FOLDER / "kustomization.yaml").read_text().splitlines()
    said = "\n".join(line.removeprefix("#").strip() for line in lines if line.startswith("#   "))
    script = said[: said.index("kubectl create namespace")].removeprefix("kubectl apply -k deploy/kubernetes")
    (tmp_path / "deploy").symlink_to(DEPLOY)
    subprocess.run(["sh", "-eu", "-c", script], cwd=tmp_path, check=True, timeout=20)
    password = (tmp_path / "redis_password").read_text().strip()
    assert (tmp_path / "redis_url").read_text() == f"redis://gateway:{password}@redis:6379/0"
    assert f"on #{hashlib.sha256(password.encode()).hexdigest()} " in (tmp_path / "users.acl").read_text()
    assert len(password) == len((tmp_path / "cache_secret").read_text().strip()) == 64


def test_the_disruption_budget_leaves_some_of_the_fewest_pods():
    assert one("PodDisruptionBudget")["spec"]["maxUnavailable"] < one("HorizontalPodAutoscaler")["spec"]["minReplicas"]
