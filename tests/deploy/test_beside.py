"""What `deploy/beside` promises without any proxy: the gateway's file is good, and each proxy knows all that it needs.

`tests/foreign/test_beside.py` runs them.
"""

import re
from pathlib import Path

import pytest
import yaml

from gateway.config.load import load_text, warnings_of

BESIDE = Path(__file__).parents[2] / "deploy" / "beside"
PROXIES = sorted(path.name for path in BESIDE.iterdir() if path.is_dir())
FILE = (BESIDE / "gateway.yaml").read_text()
ENVIRONMENT = {"GATEWAY_CLIENT_SECRET": "a-secret-of-many-characters"}


def config():
    return load_text(FILE, "gateway.yaml", environ=ENVIRONMENT, directory=BESIDE)


def test_the_gateway_s_file_is_good_and_only_decides():
    assert [route.backend for route in config().routes] == [()] * len(config().routes)
    assert str(config().decisions.listen) == "127.0.0.1:9191"
    found = warnings_of(FILE, "gateway.yaml", environ=ENVIRONMENT, directory=BESIDE, now_s=0)
    assert [one.place for one in found] == []


def test_there_is_one_for_each_proxy():
    assert PROXIES == ["apache", "caddy", "envoy", "haproxy", "istio", "nginx", "traefik"]


@pytest.mark.parametrize("proxy", PROXIES)
def test_each_replaces_every_identity_header_and_authorization(proxy):
    names = {name.lower() for route in config().routes for name in route.identity.names} | {"authorization"}
    text = "\n".join(path.read_text().lower() for path in (BESIDE / proxy).iterdir())
    text = re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)
    assert [name for name in names if not re.search(rf"(?<![a-z-]){name}(?![a-z-])", text)] == []
    assert "9191" in text
    assert "trap" in "\n".join(path.read_text().lower() for path in (BESIDE / proxy).iterdir())


@pytest.mark.parametrize("path", sorted(BESIDE.rglob("*.yaml")), ids=lambda path: str(path.relative_to(BESIDE)))
def test_each_yaml_file_is_one(path):
    assert all(isinstance(one, dict) for one in yaml.safe_load_all(path.read_text()))
