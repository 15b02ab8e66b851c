"""The gateway itself, one worker, in its fast lane, also compiled, and in its general one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.comparison.peer import Contestant, Kind, NotInstalledError
from benchmarks.comparison.place import Place, port

import gateway
from gateway.config.identity_key import new_private_pem
from gateway.config.server_model import Server

_LANE_KEY = "fast_path"
_THIS_ONE = (sys.executable, "-m", "gateway")
# Small enough that in a walk over many tokens each comes back as a stranger to the process, and is found in Redis.
REDIS_ENTRIES_MAX = 1
CONNECTIONS_MAX = 6_000
_ISSUER = "https://gateway.example.com"
_CORS = {"cors": {"allow_origins": ["https://app.example.com"], "allow_headers": ["Authorization"]}}
_MORE: dict[str, dict[str, Any]] = {
    "/cors/**": _CORS,
    "/exchanged/**": {"authorization": {"exchange": {"audience": "orders-api"}}},
    # Not signed anew within a comparison, as the token is not exchanged anew.
    "/signed/**": {"identity": {"token": {"audience": "orders-api", "ttl": "1h", "claims": {"scope": "scope"}}}},
}


def document(place: Place, kind: Kind, listen_port: int, admin_port: int) -> dict[str, Any]:
    """Defaults, apart from log and lives: identity in the five default headers, one scope asked for."""
    cache: dict[str, Any] = {"ttl": "1h"}
    if place.redis_port:
        cache |= {
            "redis": f"redis://127.0.0.1:{place.redis_port}/0",
            "secret": "only-for-this-comparison",
            "max_entries": REDIS_ENTRIES_MAX,
        }
    lane = {_LANE_KEY: kind is not Kind.GENERAL} if has_lanes() else {}
    return {
        "server": {
            "listen": f"127.0.0.1:{listen_port}",
            "workers": place.workers,
            "idle_timeout": "10m",
            # One address may have half of them: more than the memory of idle connections is measured with.
            "max_connections": 2 * CONNECTIONS_MAX,
            "shutdown_timeout": "1s",
            **lane,
        },
        "admin": {"listen": f"127.0.0.1:{admin_port}"},
        **({"signing": {"key_file": _key(place), "issuer": _ISSUER}} if place.has_credentials else {}),
        "providers": {
            "p": {
                "introspection_endpoint": f"http://127.0.0.1:{place.provider_port}/introspect",
                "token_endpoint": f"http://127.0.0.1:{place.provider_port}/token",
                "client_id": "gw",
                "client_secret": "secret",
            }
        },
        "cache": cache,
        "log": {"level": "warning", "access": False},
        "routes": _routes(place),
    }


def _routes(place: Place) -> list[dict[str, Any]]:
    """One for everything, or one for each service in the three forms that real files have."""
    forms = ("/service-{}/items/**", "/service-{}/{{kind}}/{{item}}", "/service-{}/items/{{item}}")
    patterns = [forms[number % len(forms)].format(number) for number in range(place.routes)]
    beside = {"/cors/**": place.has_cors, "/exchanged/**": place.has_credentials, "/signed/**": place.has_credentials}
    everything = [*(pattern for pattern, is_there in beside.items() if is_there), "/**"]
    return [
        {
            "name": f"api-{number}",
            "match": {"path": pattern},
            "backend": f"http://127.0.0.1:{place.backend_port}",
            "auth": {"scopes": ["read"]},
            **_MORE.get(pattern, {}),
        }
        for number, pattern in enumerate([*patterns, "/whoami", "/"] if patterns else everything)
    ]


def _key(place: Place) -> str:
    """The file of a new key that signs identities."""
    file = place.folder / "signing.pem"
    file.write_text(new_private_pem("ES256"))
    return str(file)


def has_lanes() -> bool:
    return _LANE_KEY in Server.model_fields


def fast(place: Place) -> Contestant:
    if not has_lanes():
        raise NotInstalledError(f"this gateway has no server.{_LANE_KEY}")
    return _gateway(place, Kind.FAST)


def compiled(place: Place) -> Contestant:
    """Another installation, whose `gateway` is named by `COMPILED`."""
    program = os.environ.get("COMPILED", "")
    if not program:
        raise NotInstalledError("GATEWAY_COMPILE=1 pip install . elsewhere, and COMPILED=/its/bin/gateway")
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=60).stdout
    if not said.rstrip().endswith("compiled"):
        raise NotInstalledError(f"{program} is not compiled")
    return _gateway(place, Kind.COMPILED, [program])


def general(place: Place) -> Contestant:
    return _gateway(place, Kind.GENERAL)


def command(file: Path) -> list[str]:
    return [*_THIS_ONE, "serve", "-c", str(file)]


def _gateway(place: Place, kind: Kind, program: Sequence[str] = _THIS_ONE) -> Contestant:
    listen_port = port()
    file = place.folder / "gateway.json"
    file.write_text(json.dumps(document(place, kind, listen_port, port())))
    return Contestant(
        kind, place.proxy(kind.value, [*program, "serve", "-c", str(file)], listen_port), gateway.__version__
    )
