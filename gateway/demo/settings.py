"""The demo's configuration file: what a user would write, with the demo's ports."""

from __future__ import annotations

from pathlib import Path
from string import Template

from gateway.demo.places import HOST, Places
from gateway.demo.realm import CLIENTS, REALM

NAME = "demo.yaml"  # for messages; there is no such file
ADMIN_TOKEN = "demo-admin-token"  # noqa: S105 - of a demo on loopback, printed by it
TTL_S = 60

_SETTINGS = Template("""\
server:
  listen: $listen
  max_connections: 1000 # every machine's limit of open files allows this many, without a warning

${decisions}admin:
  listen: $host:$admin
  token: $admin_token

providers:
  demo:
    issuer: $provider_url/realms/$realm # discovery finds the endpoints
    # A forged token costs no call: its signature is checked first, by the key that the provider publishes.
    # validation: jwt asks nobody at all, and needs no client_id.
    validation: jwt_then_introspection
    client_id: gateway
    client_secret: $client_secret

cache:
  ttl: ${ttl_s}s # a token is introspected once in this time

log: {level: warning, access: false} # the terminal is for the reader

routes:
  - name: public
    match: {path: /public/**}${backend}
    auth: none

  - name: orders
    match: {path: /orders/**, methods: [GET]}${backend}
    auth: {scopes: [orders:read], audience: [orders-api]}

  - name: orders-write
    match: {path: /orders/**, methods: [POST, PUT, PATCH, DELETE]}${backend}
    auth: {scopes: [orders:write], audience: [orders-api], roles: [manager]}
""")


def text(places: Places, folder: Path | None = None) -> str:
    """The YAML text of a gateway in front of the demo's provider and backend.

    With `folder`, another proxy forwards, and asks at a socket in it: the routes have no backend then.
    """
    secret = CLIENTS["gateway"].secret
    return _SETTINGS.substitute(
        host=HOST,
        listen=f"{HOST}:{places.gateway}" if folder is None else f"unix:{folder}/gateway.sock",
        decisions="" if folder is None else f"decisions: {{listen: 'unix:{folder}/decisions.sock'}}\n\n",
        backend=f"\n    backend: {places.backend_url}" if folder is None else "",
        admin=places.admin,
        admin_token=ADMIN_TOKEN,
        provider_url=places.provider_url,
        realm=REALM,
        client_secret=secret,
        ttl_s=TTL_S,
    )
