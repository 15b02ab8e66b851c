"""Ory Oathkeeper: introspects, remembers in the process, asks for one scope, sends identity headers."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import Any

from benchmarks.comparison.peer import Contestant, Kind, NotInstalledError
from benchmarks.comparison.place import Place, port

# Its own 1,000 would be as many as the mixed load has, and fewer than the memory of tokens is measured with.
_ENTRIES_MAX = 200_000
_HEADERS = {
    "X-User-Id": "{{ print .Subject }}",
    "X-User-Name": "{{ print .Extra.username }}",
    "X-Client-Id": "{{ print .Extra.client_id }}",
    "X-Scopes": "{{ print .Extra.scope }}",
    "Authorization": "",
}


def binary() -> str:
    """What `OATHKEEPER` names: it is in no distribution."""
    named = os.environ.get("OATHKEEPER", "")
    if not named:
        raise NotInstalledError("Oathkeeper (built from source, and OATHKEEPER=/its/oathkeeper)")
    return named


def version(command: str) -> str:
    shown = subprocess.run([command, "version"], capture_output=True, text=True, check=False, timeout=60)
    found = re.search(r"v?([0-9]+\.[0-9]+\.[0-9]+)", shown.stdout + shown.stderr)
    return found[1] if found else "?"


def document(place: Place, listen_port: int, api_port: int, metrics_port: int) -> dict[str, Any]:
    introspection = {
        "introspection_url": f"http://127.0.0.1:{place.provider_port}/introspect",
        "introspection_request_headers": {"Authorization": "Basic Z3c6c2VjcmV0"},
        "scope_strategy": "exact",
        "required_scope": ["read"],
        "cache": {"enabled": True, "ttl": "1h", "max_cost": _ENTRIES_MAX},
    }
    return {
        "log": {"level": "error"},
        "serve": {
            "proxy": {"host": "127.0.0.1", "port": listen_port},
            "api": {"host": "127.0.0.1", "port": api_port},
            "prometheus": {"host": "127.0.0.1", "port": metrics_port},
        },
        "access_rules": {"repositories": [f"file://{place.folder}/rules.json"], "matching_strategy": "regexp"},
        "authenticators": {"oauth2_introspection": {"enabled": True, "config": introspection}},
        "authorizers": {"allow": {"enabled": True}},
        "mutators": {"header": {"enabled": True, "config": {"headers": _HEADERS}}},
        "errors": {"fallback": ["json"], "handlers": {"json": {"enabled": True}}},
    }


def rules(place: Place) -> list[dict[str, Any]]:
    return [
        {
            "id": "everything",
            "match": {"url": "<https?>://<[^/]+>/<.*>", "methods": ["GET", "POST"]},
            "upstream": {"url": f"http://127.0.0.1:{place.backend_port}"},
            "authenticators": [{"handler": "oauth2_introspection"}],
            "authorizer": {"handler": "allow"},
            "mutators": [{"handler": "header"}],
        }
    ]


def auth(place: Place) -> Contestant:
    found, listen_port = binary(), port()
    (place.folder / "rules.json").write_text(json.dumps(rules(place)))
    file = place.folder / "oathkeeper.json"
    file.write_text(json.dumps(document(place, listen_port, port(), port())))
    # It would tell its makers about itself.
    command = ["env", "SQA_OPT_OUT=true", found, "serve", "--config", str(file)]
    return Contestant(Kind.OATHKEEPER, place.proxy(Kind.OATHKEEPER.value, command, listen_port), version(found))
