"""What `deploy/beside` promises without any proxy: the gateway's file is good, and each proxy knows all that it needs.

`tests/foreign/test_beside.py` runs them.
"""

import importlib.util
import re
import socket
import threading
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


def test_apache_s_authorizer_lets_nobody_in_whose_identity_does_not_fit_a_record(monkeypatch):
    """Cut off, `admin-of-nothing` could be `admin`."""
    spec = importlib.util.spec_from_file_location("authorizer", BESIDE / "apache" / "authorizer.py")
    assert spec is not None
    authorizer = importlib.util.module_from_spec(spec)
    assert spec.loader is not None
    spec.loader.exec_module(authorizer)
    for size, status in ((60_000, b"Status: 200"), (70_000, b"Status: 503")):
        fields = [(name, "r" * size if name == "X-Roles" else "") for name in authorizer.VARIABLES]
        monkeypatch.setattr(authorizer, "ask", lambda *_, fields=fields: (200, fields, b""))
        with authorizer.Server(("127.0.0.1", 0), "http://127.0.0.1:1") as server:
            threading.Thread(target=server.handle_request, daemon=True).start()
            with socket.create_connection(server.server_address, timeout=10) as apache:
                apache.sendall(authorizer.HEADER.pack(1, authorizer.PARAMS, 1, 0, 0, 0))
                told = b""
                while part := apache.recv(2**16):
                    told += part
        assert told[authorizer.HEADER.size :].startswith(status)
