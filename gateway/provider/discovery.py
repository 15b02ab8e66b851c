"""Finds a provider's endpoints in the metadata that it publishes (OpenID Connect Discovery 1.0 §4, RFC 8414 §3).

Fetches `<issuer>/.well-known/openid-configuration` first, then RFC 8414's URL. Accepts a document only if it names
exactly the configured issuer (RFC 8414 §3.3): another issuer's endpoints would get our secret and every caller's token.
An `https` issuer cannot move us to clear text beyond this machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from gateway.config.addresses import parse_endpoint
from gateway.config.values import is_loopback_address
from gateway.http import strict_json
from gateway.provider.call import Calls
from gateway.provider.errors import UnusableResponseError
from gateway.provider.supported import Supported, read_supported

EndpointName = Literal["introspection_endpoint", "token_endpoint", "jwks_uri"]
# Every document is read for these; `jwks_uri` only on demand, because many gateways never need it.
ENDPOINT_NAMES: tuple[EndpointName, ...] = ("introspection_endpoint", "token_endpoint")
_OK = 200
_QUOTED_MAX_CHARS = 200


@dataclass(frozen=True, slots=True)
class Metadata:
    """The part of a provider's metadata that the gateway uses. `None`: the document does not name it."""

    issuer: str
    introspection_endpoint: str | None = None
    token_endpoint: str | None = None
    jwks_uri: str | None = None
    supported: Supported = field(default_factory=Supported)


class _NotHereError(UnusableResponseError):
    """One URL has no document with the endpoint that is needed. The other URL may have it."""


async def discover(calls: Calls, issuer: str, *needs: EndpointName) -> Metadata:
    """The metadata of `issuer`, with the endpoints `needs` in it. Raises `ProviderError`."""
    first, second = discovery_urls(issuer)
    try:
        return await _fetch_metadata(calls, first, issuer, needs)
    except _NotHereError as at_first:
        try:
            return await _fetch_metadata(calls, second, issuer, needs)
        except _NotHereError:
            # Nearly all providers publish at the first URL, so the operator is to mend that.
            raise UnusableResponseError(at_first.reason, at_first.retry_after_s) from None


def discovery_urls(issuer: str) -> tuple[str, str]:
    """Both URLs. OpenID Connect appends to the issuer's path, RFC 8414 §3.1 goes before it; both drop a last `/`."""
    parts = urlsplit(issuer)
    if parts.query:
        raise UnusableResponseError("an issuer has no query (RFC 8414 §2); write it without, or name the endpoints")
    path = parts.path.removesuffix("/")
    return (
        urlunsplit((parts.scheme, parts.netloc, f"{path}/.well-known/openid-configuration", "", "")),
        urlunsplit((parts.scheme, parts.netloc, f"/.well-known/oauth-authorization-server{path}", "", "")),
    )


async def _fetch_metadata(calls: Calls, url: str, issuer: str, needs: Sequence[EndpointName]) -> Metadata:
    response = await calls.get(url)
    if response.status != _OK:
        raise _NotHereError(f"discovery was answered with status {response.status}", response.retry_after_s)
    try:
        document = strict_json.loads(response.body)
    except strict_json.JSONError as error:
        raise _NotHereError(f"the discovery document is not JSON that can be relied on: {error}") from None
    return read_metadata(document, issuer, *needs)


def read_metadata(document: object, issuer: str, *needs: EndpointName) -> Metadata:
    """The metadata in a discovery document's JSON value. Raises `UnusableResponseError`."""
    if not isinstance(document, Mapping):
        raise _NotHereError("the discovery document is not an object")
    named = document.get("issuer")
    if named != issuer:
        quoted = repr(named)[:_QUOTED_MAX_CHARS]
        raise UnusableResponseError(f"the discovery document is of the issuer {quoted}; write exactly that, or mend it")
    for need in needs:
        if document.get(need) is None:
            what = f"the discovery document does not name {need}; write {need} into the configuration"
            # Auth0, Entra ID, Cognito and Google have none.
            other = ", or validation: jwt where there is none" if need == "introspection_endpoint" else ""
            raise _NotHereError(what + other)
    names = {*ENDPOINT_NAMES, *needs}
    found = {name: _endpoint(name, document[name], issuer) for name in names if document.get(name) is not None}
    return Metadata(issuer, **found, supported=read_supported(document))


def _endpoint(name: str, value: object, issuer: str) -> str:
    try:
        url = parse_endpoint(value)
    except ValueError:
        raise UnusableResponseError(f"the discovery document's {name} is not an absolute http or https URL") from None
    if issuer.startswith("https:") and not url.startswith("https:") and not _is_local(urlsplit(url).hostname or ""):
        raise UnusableResponseError(f"the discovery document's {name} is not https, but the issuer is")
    return url


def _is_local(host: str) -> bool:
    return host == "localhost" or is_loopback_address(host)
