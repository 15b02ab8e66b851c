import json
import re
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support.deployed import DEPLOY, SPARE_S, document, stopping_s, text_with_secrets_in

from gateway.config.load import load_text
from gateway.runtime.descriptors import descriptors_for

COMPOSE = document("compose/compose.yaml")
SERVICES = COMPOSE["services"]
REALM = json.loads((DEPLOY / "keycloak" / "realm-demo.json").read_text())
SECRETS = ["gateway_client_secret", "gateway_cache_secret", "gateway_redis_url", "gateway_admin_token"]


@pytest.fixture
def gateway(tmp_path):
    text = text_with_secrets_in("compose/gateway.yaml", "/run/secrets", tmp_path, SECRETS)
    return load_text(text, "gateway.yaml", environ={}, directory=tmp_path)


def published(service: str) -> dict[int, int]:
    """Container port -> port on the machine."""
    found = {}
    for line in SERVICES[service].get("ports", []):
        host, outside, inside = line.split(":")
        assert host == "127.0.0.1", f"{service} is published beyond loopback"
        found[int(inside)] = int(outside)
    return found


def test_all_parts_are_there():
    assert set(SERVICES) == {"gateway", "keycloak", "redis", "echo", "prometheus", "grafana"}


def test_images_name_a_version_and_no_registry():
    for name, service in SERVICES.items():
        assert re.fullmatch(r"([a-z]+/)?[a-z]+:v?[0-9][0-9a-z.-]*", service["image"]), name


def test_the_gateways_image_is_this_version():
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]
    assert SERVICES["gateway"]["image"] == f"gateway:{project['version']}"


def test_ports_are_published_to_loopback_alone_and_once():
    ports = [port for service in SERVICES for port in published(service).values()]
    assert len(ports) == len(set(ports))


def test_what_is_mounted_is_there():
    folder = DEPLOY / "compose"
    mounted = [line.split(":")[0] for service in SERVICES.values() for line in service.get("volumes", [])]
    assert all((folder / path).exists() for path in mounted), mounted
    assert (folder / SERVICES["gateway"]["build"] / "Dockerfile").is_file()


def test_every_secret_is_a_file_that_the_gateway_reads():
    assert set(SERVICES["gateway"]["secrets"]) == set(COMPOSE["secrets"]) - {"redis_users"} == set(SECRETS)
    text = (DEPLOY / "compose" / "gateway.yaml").read_text()
    for name in SECRETS:
        assert (DEPLOY / "compose" / COMPOSE["secrets"][name]["file"]).read_text().strip()
        assert f"/run/secrets/{name}" in text


def test_redis_knows_nobody_but_the_gateways_user():
    assert "--aclfile /run/secrets/redis_users" in SERVICES["redis"]["command"]
    assert SERVICES["redis"]["secrets"] == ["redis_users"]
    assert (DEPLOY / "compose" / COMPOSE["secrets"]["redis_users"]["file"]).is_file()


def test_the_gateways_file_loads_and_fits_the_ports(gateway):
    assert set(published("gateway")) == {gateway.server.listen.port, gateway.admin.listen.port}
    assert gateway.server.listen.host == gateway.admin.listen.host == "0.0.0.0"


def test_compose_waits_longer_for_the_gateway_than_its_own_shutdown(gateway):
    waits_s = int(SERVICES["gateway"]["stop_grace_period"].removesuffix("s"))
    assert waits_s >= stopping_s(gateway.server) + SPARE_S


def test_the_gateway_may_open_as_many_files_as_its_connections_need(gateway):
    assert SERVICES["gateway"]["ulimits"]["nofile"] >= descriptors_for(gateway.server.max_connections)


def test_the_gateway_knows_keycloak_by_the_name_in_its_tokens_and_reaches_it_by_another(gateway):
    provider = gateway.providers["keycloak"]
    hostname = SERVICES["keycloak"]["environment"]["KC_HOSTNAME"]
    assert hostname == f"http://localhost:{published('keycloak')[8080]}"
    assert provider.issuer == f"{hostname}/realms/{REALM['realm']}"
    inside = f"http://keycloak:8080/realms/{REALM['realm']}/protocol/openid-connect"
    assert provider.introspection_endpoint == f"{inside}/token/introspect"
    assert provider.token_endpoint == f"{inside}/token"


def test_the_realm_has_the_gateways_client_with_the_secret_of_the_file(gateway):
    client = next(c for c in REALM["clients"] if c["clientId"] == gateway.providers["keycloak"].client_id)
    assert client["secret"] == Path(DEPLOY / "compose/secrets/gateway_client_secret").read_text().strip()


def test_the_realm_can_give_what_the_routes_ask_for(gateway):
    scopes = {scope["name"] for scope in REALM["clientScopes"]}
    roles = {role["name"] for role in REALM["roles"]["realm"]}
    clients = {client["clientId"] for client in REALM["clients"]}
    for route in gateway.routes:
        assert scopes.issuperset(route.auth.scopes)
        assert roles.issuperset(route.auth.roles)
        assert clients.issuperset(route.auth.audience)


def test_the_gateways_backends_and_redis_are_services(gateway):
    assert {backend.url.host for route in gateway.routes for backend in route.backend} == {"echo"}
    assert f"--port={gateway.routes[0].backend[0].url.port}" in SERVICES["echo"]["command"]
    url = (DEPLOY / "compose/secrets/gateway_redis_url").read_text()
    assert urlsplit(url).hostname == "redis"
    assert urlsplit(url).hostname in SERVICES


def test_prometheus_scrapes_the_admin_listener(gateway):
    prometheus = document("compose/prometheus.yml")
    (job,) = prometheus["scrape_configs"]
    assert job["job_name"] == "gateway"
    assert job["static_configs"] == [{"targets": [f"gateway:{gateway.admin.listen.port}"]}]
    assert any(
        line.endswith(f"/etc/prometheus/{prometheus['rule_files'][0]}:ro") for line in SERVICES["prometheus"]["volumes"]
    )


def test_grafana_is_given_its_data_source_and_dashboard():
    (source,) = document("grafana/provisioning/datasources/prometheus.yaml")["datasources"]
    (provider,) = document("grafana/provisioning/dashboards/gateway.yaml")["providers"]
    dashboard = json.loads((DEPLOY / "grafana/dashboards/gateway.json").read_text())
    assert source["url"] == "http://prometheus:9090"
    variables = {one["name"]: one for one in dashboard["templating"]["list"]}
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", source["type"])
    assert {panel["datasource"]["uid"] for panel in dashboard["panels"]} == {"${datasource}"}
    assert f"../grafana/dashboards:{provider['options']['path']}:ro" in SERVICES["grafana"]["volumes"]
