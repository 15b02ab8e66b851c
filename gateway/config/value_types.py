"""The types of the keys' values: what they become, how they are parsed, what an editor is told of them."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, SecretStr, WithJsonSchema

from gateway.config import balance_rule, token_place
from gateway.config.addresses import (
    parse_backend,
    parse_endpoint,
    parse_health_path,
    parse_issuer,
    parse_resource,
    parse_server_name,
)
from gateway.config.claim_paths import (
    ClaimRule,
    Template,
    parse_authorization_detail,
    parse_claim_path,
    parse_claim_rules,
)
from gateway.config.model_base import KeyMark
from gateway.config.pattern import HostPattern, PathPattern, parse_host, parse_path, parse_prefix, parse_template
from gateway.config.permission_values import parse_absolute_uri, parse_permission_resource, parse_permission_scope
from gateway.config.proxy_url import check_proxy_url
from gateway.config.redis_url import check_redis_url
from gateway.config.secret import check_secret, check_secret_or_none
from gateway.config.token_place import parse_token_place
from gateway.config.values import (
    Address,
    parse_address,
    parse_auto_or_flag,
    parse_duration_s,
    parse_flag,
    parse_fraction,
    parse_integer,
    parse_limit_bytes,
    parse_network,
    parse_part,
    parse_percent,
    parse_sample,
    parse_size_bytes,
    parse_trusted_peer,
    parse_workers,
)
from gateway.config.wire_values import (
    parse_acr,
    parse_algorithm,
    parse_cors_header_name,
    parse_header_name,
    parse_header_value,
    parse_identity_name,
    parse_method,
    parse_name,
    parse_origin,
    parse_realm,
    parse_scope,
    parse_text,
    parse_trusted_name,
)
from gateway.http.backend import Backend


def text(pattern: str | None = None, **more: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", **({"pattern": pattern} if pattern else {}), **more})


def one_or_many(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


Seconds = Annotated[float, BeforeValidator(parse_duration_s), text(r"^[0-9]+(\.[0-9]+)?(ms|s|m|h)$", examples=["2s"])]
Count = Annotated[int, BeforeValidator(parse_integer)]
Fraction = Annotated[
    float,
    BeforeValidator(parse_fraction),
    WithJsonSchema(
        {
            "type": ["number", "string"],
            "pattern": r"^0?\.[0-9]{1,9}$",
            "exclusiveMinimum": 0,
            "exclusiveMaximum": 1,
            "examples": [0.8],
        }
    ),
]
Part = Annotated[
    float,
    BeforeValidator(parse_part),
    WithJsonSchema(
        {
            "type": ["number", "string"],
            "pattern": r"^(0?\.[0-9]{1,9}|1(\.0{1,9})?)$",
            "exclusiveMinimum": 0,
            "maximum": 1,
            "examples": [0.5],
        }
    ),
]
Sample = Annotated[
    float,
    BeforeValidator(parse_sample),
    WithJsonSchema(
        {
            "type": ["number", "string"],
            "pattern": r"^(0|0?\.[0-9]{1,9}|1(\.0{1,9})?)$",
            "minimum": 0,
            "maximum": 1,
            "examples": [0.1],
        }
    ),
]
Percent = Annotated[int, BeforeValidator(parse_percent), text(r"^[0-9]{1,3}%$", examples=["100%"])]
Flag = Annotated[bool, BeforeValidator(parse_flag)]
AutoOrFlag = Annotated[
    Literal["auto"] | bool,
    BeforeValidator(parse_auto_or_flag),
    WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "boolean"}]}),
]
TrustedPeer = Annotated[
    IPv4Network | IPv6Network | Literal["unix"], BeforeValidator(parse_trusted_peer), text(examples=["10.0.0.0/8"])
]
SourceNetwork = Annotated[IPv4Network | IPv6Network, BeforeValidator(parse_network), text(examples=["10.0.0.0/8"])]
Name = Annotated[str, BeforeValidator(parse_name), text(pattern="^[A-Za-z0-9_.:-]{1,100}$")]
LongSecret = Annotated[SecretStr, AfterValidator(check_secret)]
LongSecretOrNone = Annotated[SecretStr, AfterValidator(check_secret_or_none), KeyMark.EMPTY_IS_NONE]
FilePath = Annotated[str, KeyMark.FILE]
FileContent = Annotated[SecretStr, KeyMark.CONTENT, text()]
RedisUrl = Annotated[SecretStr, AfterValidator(check_redis_url), text(r"^(rediss?(\+sentinel|\+cluster)?|unix)://")]
ProxyUrl = Annotated[SecretStr, AfterValidator(check_proxy_url), text("^http://", examples=["http://proxy:3128"])]
Bytes = Annotated[
    int,
    BeforeValidator(parse_size_bytes),
    WithJsonSchema({"type": ["string", "integer"], "pattern": "^[0-9]+(B|KiB|MiB|GiB)?$", "examples": ["10MiB"]}),
]
BytesOrUnlimited = Annotated[
    int | None,
    BeforeValidator(parse_limit_bytes),
    WithJsonSchema(
        {
            "type": ["string", "integer"],
            "pattern": "^([0-9]+(B|KiB|MiB|GiB)?|unlimited)$",
            "examples": ["10MiB"],
        }
    ),
]
Listen = Annotated[
    Address,
    BeforeValidator(parse_address),
    text(
        r"^(unix:/|([A-Za-z0-9_.-]*|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$)",
        examples=["0.0.0.0:8080", "unix:/run/gateway.sock"],
    ),
]
Endpoint = Annotated[
    str, BeforeValidator(parse_endpoint), text("^https?://", examples=["https://sso.example.com/realms/demo"])
]
Issuer = Annotated[
    str, BeforeValidator(parse_issuer), text("^https?://", examples=["https://sso.example.com/realms/demo"])
]
ResourceIdentifier = Annotated[str, BeforeValidator(parse_resource), text(examples=["https://mcp.example.com/mcp"])]
HeaderName = Annotated[str, BeforeValidator(parse_header_name), text()]
TrustedName = Annotated[str, BeforeValidator(parse_trusted_name), text(examples=["X-Real-IP"])]
CorsHeaderName = Annotated[str, BeforeValidator(parse_cors_header_name), text()]
IdentityName = Annotated[str, BeforeValidator(parse_identity_name), text()]
HeaderValue = Annotated[str, BeforeValidator(parse_header_value), WithJsonSchema({"type": ["string", "number"]})]
Method = Annotated[str, BeforeValidator(parse_method), text(examples=["GET"])]
Origin = Annotated[str, BeforeValidator(parse_origin), text(examples=["https://app.example.com"])]
Text = Annotated[str, BeforeValidator(parse_text), text(examples=["staff"])]
AbsoluteUri = Annotated[str, BeforeValidator(parse_absolute_uri), text(examples=["https://orders.example.com"])]
PermissionText = Annotated[Template | str, BeforeValidator(parse_permission_resource), text(examples=["order/{id}"])]
PermissionScope = Annotated[str, BeforeValidator(parse_permission_scope), text(examples=["view"])]
Acr = Annotated[str, BeforeValidator(parse_acr), text(examples=["gold"])]
AuthorizationDetail = Annotated[
    dict[str, Any],
    BeforeValidator(parse_authorization_detail),
    WithJsonSchema({"type": "object", "required": ["type"], "examples": [{"type": "payment", "actions": ["read"]}]}),
]
Scope = Annotated[str, BeforeValidator(parse_scope), text(examples=["orders:read"])]
Algorithm = Annotated[str, BeforeValidator(parse_algorithm), text(examples=["RS256"])]
RealmName = Annotated[str, BeforeValidator(parse_realm), text(pattern="^[A-Za-z0-9._~-]{1,100}$")]
ClaimPath = Annotated[tuple[str, ...], BeforeValidator(parse_claim_path), text(examples=["realm_access.roles"])]
HostMatch = Annotated[HostPattern, BeforeValidator(parse_host), text(examples=["*.example.com"])]
PathMatch = Annotated[PathPattern, BeforeValidator(parse_path), text(pattern="^/", examples=["/orders/**"])]
PathPrefix = Annotated[PathPattern, BeforeValidator(parse_prefix), text(pattern="^/", examples=["/.gateway/events"])]
Rewrite = Annotated[PathPattern, BeforeValidator(parse_template), text(pattern="^/", examples=["/v2/{tenant}/{**}"])]
BackendUrl = Annotated[Backend, BeforeValidator(parse_backend), text(examples=["http://orders:8000"])]
HealthPath = Annotated[str, BeforeValidator(parse_health_path), text(pattern="^/", examples=["/healthz"])]
ServerName = Annotated[str, BeforeValidator(parse_server_name), text(examples=["orders.internal"])]
BalanceRule = Annotated[
    balance_rule.BalanceRule,
    BeforeValidator(balance_rule.parse_balance),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": ["round_robin", "least_requests"]},
                {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["hash"],
                    "properties": {"hash": {"type": "string", "examples": ["sub", "header:X-Tenant"]}},
                },
            ]
        }
    ),
]
TokenPlace = Annotated[
    token_place.TokenPlace,
    BeforeValidator(parse_token_place),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": "authorization"},
                *(
                    {
                        "type": "object",
                        "additionalProperties": False,
                        "required": [kind],
                        "properties": {kind: {"type": "string", "examples": [name]}},
                    }
                    for kind, name in (
                        ("header", "X-Access-Token"),
                        ("cookie", "access_token"),
                        ("query", "access_token"),
                    )
                ),
            ]
        }
    ),
]
Workers = Annotated[
    Literal["auto"] | int,
    BeforeValidator(parse_workers),
    WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1, "maximum": 256}]}),
]
OneOrMany = BeforeValidator(one_or_many)
ONE_OR_MANY = WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})
_SCALAR = {"type": ["string", "number", "boolean"]}
Claims = Annotated[
    tuple[ClaimRule, ...],
    BeforeValidator(parse_claim_rules),
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": {"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR, "minItems": 1}]},
        }
    ),
]
