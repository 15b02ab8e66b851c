"""Judges a bearer token that is a JWT: its header before its signature, its claims after (RFC 7519 §7.2, RFC 9068 §4).

    value -> three parts, the first an object with `alg`? -> header -> (signature: elsewhere) -> claims -> facts
             no: opaque, only the provider can judge it

Anybody can send a JWT. So nothing but its header is read before its signature is verified, and the header is bounded.
Only asymmetric algorithms that the configuration names count (RFC 8725 §3.1); what the header says of keys (`jku`,
`jwk`, `x5u`, `x5c`) is never followed; `crit` is not understood, so that it refuses (RFC 7515 §4.1.11).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.authn.compact_jws import decoded_part, is_time
from gateway.authn.facts import CLAIM_NAMES, Facts, Indeterminate, scope_set
from gateway.authn.leeway import leeway_s
from gateway.authn.token_type import not_access_token
from gateway.http.strict_json import JSONError, loads

_PARTS = 3
# With a chain of certificates (`x5c`) in it; others have 200 characters.
_HEADER_MAX_CHARS = 8 * 2**10
_HEADER_CONTAINERS_MAX = 64
_KID_MAX_CHARS = 1024
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")
# `translate` deletes them, several times as fast as an expression matches them.
_COMPACT_CHARS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-."
_SHOWN_ALGORITHM = re.compile(r"[A-Za-z0-9-]{1,12}")
# RFC 9068 §2.1; most providers have `JWT` or nothing. Any other type is not an access token (RFC 8725 §3.11).
_TYPES = frozenset({None, "jwt", "at+jwt"})
# Keycloak's `typ` claim and the `token_use` of others, of an access token.
_ACCESS_TYPES = frozenset({"bearer", "dpop"})


@dataclass(frozen=True, slots=True)
class BearerJwt:
    """Holds a JWT whose header has been judged, and whose signature nobody has verified yet."""

    algorithm: str
    kid: str | None
    typ: str | None  # in small letters, without `application/`
    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    @property
    def payload(self) -> bytes:
        """The claims as they were signed. Raises `ValueError`. Read them only once the signature is verified."""
        return decoded_part(self.signing_input.partition(b".")[2].decode())


@dataclass(frozen=True, slots=True)
class JwtFault:
    """Says why a JWT is refused, for the operator."""

    reason: str


def read_bearer_jwt(value: str, algorithms: Collection[str]) -> BearerJwt | JwtFault | None:
    """The JWT, to be verified by one of `algorithms`; the fault that refuses it; `None` for an opaque token.

    A JWT is three parts, and the first of them a JSON object with `alg` (RFC 7515 §3.1).
    """
    parts = value.split(".")
    if len(parts) != _PARTS:
        return None
    header = _read_header(parts[0])
    if header is None or isinstance(header, JwtFault):
        return header
    if not parts[2]:
        return JwtFault("the token is not signed")
    if not all(parts) or value.encode("utf-8", "surrogatepass").translate(None, _COMPACT_CHARS):
        return JwtFault("the token is not a JWT in compact form")
    return _judge_header(header, algorithms) or _split(value, header)


def access_claims(
    jwt: BearerJwt, issuer: str, now: float, configured_leeway_s: float | None
) -> dict[str, Any] | JwtFault:
    """The claims of an access token of `issuer` that is valid at `now` (wall clock). Its signature is verified."""
    try:
        claims = loads(jwt.payload, pool=CLAIM_NAMES)
    except (JSONError, ValueError):
        return JwtFault("its claims are not JSON that can be relied on")
    if not isinstance(claims, dict):
        return JwtFault("its claims are not an object")
    if claims.get("iss") != issuer:
        return JwtFault("it is from another issuer")
    if fault := _judge_times(claims, now, configured_leeway_s):
        return fault
    reason = not_access_token(claims, jwt.typ, is_typed=_is_typed(claims))
    return claims if reason is None else JwtFault(reason)


def facts_of_jwt(claims: Mapping[str, Any], now: float) -> Facts | Indeterminate:
    """The facts that verified claims are, verified at `now`: the same value that an introspection gives."""
    scope = claims.get("scope", "")
    if not isinstance(scope, str):
        return Indeterminate("`scope` is not a string; see claims of the provider", was_asked=False)
    if claims.get("client_id") is None and isinstance(client := claims.get("azp"), str):
        # Keycloak's, Auth0's and Google's JWTs name the client so; an introspection names it client_id (RFC 9068 §2.2).
        claims = {**claims, "client_id": client}
    scopes = scope_set(tuple(filter(None, scope.split(" "))))
    return Facts(claims, now, claims.get("exp"), claims.get("nbf"), scopes)


def _read_header(part: str) -> dict[str, Any] | JwtFault | None:
    if len(part) > _HEADER_MAX_CHARS:
        is_object = _BASE64URL.fullmatch(part[:4]) and decoded_part(part[:4]).lstrip()[:1] in (b"{", b"")
        return JwtFault("its header is too long") if is_object else None
    if not _BASE64URL.fullmatch(part):
        return None
    try:
        data = decoded_part(part)
    except ValueError:
        return None
    if not data.lstrip().startswith(b"{"):
        return None
    try:
        header = loads(data, containers_max=_HEADER_CONTAINERS_MAX)
    except JSONError:
        # Another reader may find an `alg` in it, so it is a JWT that somebody made up, and not an opaque token.
        return JwtFault("its header is not JSON that can be relied on") if b"alg" in data else None
    return header if isinstance(header, dict) and "alg" in header else None


def _judge_header(header: Mapping[str, Any], algorithms: Collection[str]) -> JwtFault | None:
    algorithm, kid, typ = header["alg"], header.get("kid"), header.get("typ")
    if not isinstance(algorithm, str) or not isinstance(kid, str | None) or not isinstance(typ, str | None):
        return JwtFault("its header has a member of the wrong type")
    if algorithm not in algorithms:
        shown = algorithm if _SHOWN_ALGORITHM.fullmatch(algorithm) else "another"
        return JwtFault(f"its alg is {shown}, one of [{', '.join(sorted(algorithms))}] wanted")
    if "crit" in header or "b64" in header:
        return JwtFault("its header asks for an extension that is not supported (crit)")
    if _plain_type(typ) not in _TYPES:
        return JwtFault("the typ in its header is not one of an access token: JWT, at+jwt, or none wanted")
    return JwtFault("its kid is too long") if kid is not None and len(kid) > _KID_MAX_CHARS else None


def _split(value: str, header: Mapping[str, Any]) -> BearerJwt | JwtFault:
    signing_input, _, signature = value.rpartition(".")
    try:
        data = decoded_part(signature)
    except ValueError:
        return JwtFault("its signature is not in base64url")
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != signature:
        # Two texts for one signature would be two tokens, and a revocation of one would miss the other.
        return JwtFault("its signature is not in the one base64url form that it has")
    return BearerJwt(header["alg"], header.get("kid"), _plain_type(header.get("typ")), signing_input.encode(), data)


def _judge_times(claims: Mapping[str, Any], now: float, configured_leeway_s: float | None) -> JwtFault | None:
    """`exp` is exclusive and has no leeway (RFC 7519 §4.1.4)."""
    exp, nbf, issued_at = (claims.get(name) for name in ("exp", "nbf", "iat"))
    if exp is None:
        return JwtFault("it has no exp")
    for name, value in (("exp", exp), ("nbf", nbf), ("iat", issued_at)):
        if name in claims and not is_time(value):
            return JwtFault(f"its {name} is not a time in seconds")
    if now >= exp:
        return JwtFault(f"its exp was {now - exp:.0f} s ago by this clock")
    allowed_s = leeway_s(configured_leeway_s, issued_at, nbf)
    for name, value in (("nbf", nbf), ("iat", issued_at)):
        if value is not None and value > now + allowed_s:
            return JwtFault(f"its {name} is {value - now:.1f} s ahead of this clock; see leeway of the provider")
    return None


def _is_typed(claims: Mapping[str, Any]) -> bool:
    """Whether a claim says that it is an access token: then `nonce` is a claim like any other, as in Keycloak's."""
    typ = claims.get("typ")
    return (isinstance(typ, str) and typ.lower() in _ACCESS_TYPES) or claims.get("token_use") == "access"


def _plain_type(typ: str | None) -> str | None:
    return None if typ is None else typ.lower().removeprefix("application/")
