"""The Envoy that Istio's ingress gateway is, as far as `deploy/beside/istio` decides about it.

There is no cluster here. The filter is made of `mesh.yaml` as Istio makes it (pilot, `security/authz/builder`), and
`filter.yaml` is merged into what Istio writes for a gateway.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

_TYPE = "type.googleapis.com/envoy.extensions.filters"
_MANAGER = f"{_TYPE}.network.http_connection_manager.v3.HttpConnectionManager"


def envoy_text(folder: Path) -> str:
    """A configuration of Envoy (JSON is YAML), with the ports of `deploy/beside/envoy`."""
    mesh = yaml.safe_load((folder / "mesh.yaml").read_text())["spec"]["meshConfig"]
    assert mesh["pathNormalization"] == {"normalization": "BASE"}
    provider = mesh["extensionProviders"][0]["envoyExtAuthzHttp"]
    asks = _asks(provider)
    manager: dict[str, Any] = {
        "@type": _MANAGER,
        "stat_prefix": "ingress",
        "use_remote_address": True,
        "normalize_path": True,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "http_filters": [
            {"name": "envoy.filters.http.ext_authz", "typed_config": asks},
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{_TYPE}.http.router.v3.Router"}},
        ],
    }
    host = {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "orders"}}]}
    for one in yaml.safe_load((folder / "filter.yaml").read_text())["spec"]["configPatches"]:
        value = one["patch"]["value"]
        match one["applyTo"]:
            case "NETWORK_FILTER":
                manager |= value["typed_config"]
            case "HTTP_FILTER":
                more = value["typed_config"]
                more["allowed_headers"]["patterns"][:0] = asks["allowed_headers"]["patterns"]  # lists are joined
                asks |= more
            case "VIRTUAL_HOST":
                host |= value
            case other:
                raise AssertionError(other)
    manager["route_config"] = {"virtual_hosts": [host]}
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    listener = {"address": _address("0.0.0.0", 8080), "filter_chains": [chain]}
    clusters = [_cluster("decisions", provider["port"]), _cluster("orders", 8000)]
    return json.dumps({"static_resources": {"listeners": [listener], "clusters": clusters}}, indent=1)


def _asks(provider: dict[str, Any]) -> dict[str, Any]:
    return {
        "@type": f"{_TYPE}.http.ext_authz.v3.ExtAuthz",
        "transport_api_version": "V3",
        "failure_mode_allow": provider["failOpen"],
        "status_on_error": {"code": int(provider["statusOnError"])},
        "allowed_headers": _names(provider["includeRequestHeadersInCheck"]),
        "http_service": {
            "server_uri": {"uri": "http://decisions", "cluster": "decisions", "timeout": provider["timeout"]},
            "path_prefix": provider["pathPrefix"],
            "authorization_response": {
                "allowed_upstream_headers": _names(provider["headersToUpstreamOnAllow"]),
                "allowed_client_headers": _names(provider["headersToDownstreamOnDeny"]),
            },
        },
    }


def _names(patterns: list[str]) -> dict[str, Any]:
    return {
        "patterns": [
            {"prefix": one.removesuffix("*"), "ignore_case": True}
            if one.endswith("*")
            else {"exact": one, "ignore_case": True}
            for one in patterns
        ]
    }


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _cluster(name: str, port: int) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": _address("127.0.0.1", port)}}
    endpoints = [{"lb_endpoints": [endpoint]}]
    return {"name": name, "connect_timeout": "1s", "load_assignment": {"cluster_name": name, "endpoints": endpoints}}
