import json

from gateway.admin.describe import describe
from gateway.config.model import Config

CONFIG = Config.model_validate(
    {
        "providers": {
            "keycloak": {"issuer": "https://sso.example.com/realms/demo", "client_id": "g", "client_secret": "hush"}
        },
        "admin": {"token": "hush-hush-hush-hush"},
        "routes": [
            {
                "name": "orders",
                "match": {"host": "*.example.com", "path": "/tenants/{tenant}/**", "methods": ["GET"]},
                "backend": ["http://orders:8000/v1", "http://orders-2:8000"],
                "strip_prefix": "/tenants",
                "auth": {"scopes": ["orders:read"], "claims": {"acr": "gold"}, "max_age": "30s"},
                "request_headers": {"set": {"X-Api-Key": "hush"}},
            },
            {"name": "public", "backend": "http://web", "auth": "none"},
        ],
    }
)


def test_a_route_is_shown_as_the_operator_wrote_it():
    orders, public = describe(CONFIG)
    assert orders == {
        "name": "orders",
        "match": {"host": "*.example.com", "path": "/tenants/{tenant}/**", "methods": ["GET"]},
        "backend": ["http://orders:8000/v1", "http://orders-2:8000"],
        "strip_prefix": "/tenants",
        "rewrite": None,
        "auth": {"mode": "required", "scopes": ["orders:read"], "claims": ["acr"], "max_age_s": 30.0},
    }
    assert public["match"] == {"host": None, "path": "/**", "methods": None}
    assert public["auth"] == {"mode": "none"}


def test_no_secret_is_shown():
    assert "hush" not in json.dumps(describe(CONFIG))
