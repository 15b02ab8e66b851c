"""Where a provider's endpoints are, by its own words (OpenID Connect Discovery 1.0 §4, RFC 8414 §3).

Asks at `<issuer>/.well-known/openid-configuration` first, then at RFC 8414's place. Believes a document only when it
names exactly the configured issuer (RFC 8414 §3.3): another one's endpoints would be handed our secret and every
caller's token. An `https` issuer does not move us to clear text beyond this machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from gateway.config.addresses import parse_endpoint
from gateway.config.values import is_loopback_address
from gateway.http import strict_json
from gateway.provider.call import Calls
from gateway.provider.errors import UnusableAnswerError

EndpointName = Literal["introspection_endpoint", "token_endpoint", "jwks_uri"]
# Looked at wherever they stand; `jwks_uri` only where it is asked for, which most gateways never do.
ENDPOINT_NAMES: tuple[EndpointName, ...] = ("introspection_endpoint", "token_endpoint")
_OK = 200
_QUOTED_MAX_CHARS = 200


@dataclass(frozen=True, slots=True)
class Metadata:
    """The part of a provider's metadata that the gateway uses; None where the document does not name it."""

    issuer: str
    introspection_endpoint: str | None = None
    token_endpoint: str | None = None
    jwks_uri: str | None = None


class _NotHereError(UnusableAnswerError):
    """No document with what is needed at one place; the other one may have it."""


async def discover(calls: Calls, issuer: str, need: EndpointName) -> Metadata:
    """The metadata of `issuer`, with the endpoint `need` in it. Raises `ProviderError`."""
    first, second = discovery_urls(issuer)
    try:
        return await _ask(calls, first, issuer, need)
    except _NotHereError as at_first:
        try:
            return await _ask(calls, second, issuer, need)
        except _NotHereError:
            # The first place is where nearly all providers answer, so its reason is the one to mend.
            raise UnusableAnswerError(at_first.reason, at_first.retry_after_s) from None


def discovery_urls(issuer: str) -> tuple[str, str]:
    """OpenID Connect appends to the issuer's path, RFC 8414 §3.1 puts its part before it; both drop a last `/`."""
    parts = urlsplit(issuer)
    if parts.query:
        raise UnusableAnswerError("an issuer has no query (RFC 8414 §2); write it without, or name the endpoints")
    path = parts.path.removesuffix("/")
    return (
        urlunsplit((parts.scheme, parts.netloc, f"{path}/.well-known/openid-configuration", "", "")),
        urlunsplit((parts.scheme, parts.netloc, f"/.well-known/oauth-authorization-server{path}", "", "")),
    )


async def _ask(calls: Calls, url: str, issuer: str, need: EndpointName) -> Metadata:
    reply = await calls.get(url)
    if reply.status != _OK:
        raise _NotHereError(f"discovery was answered with status {reply.status}", reply.retry_after_s)
    try:
        document = strict_json.loads(reply.body)
    except strict_json.JSONError as error:
        raise _NotHereError(f"the discovery document is no JSON that can be relied on: {error}") from None
    return read_metadata(document, issuer, need)


def read_metadata(document: object, issuer: str, need: EndpointName) -> Metadata:
    """The metadata in a discovery document's JSON value. Raises `UnusableAnswerError`."""
    if not isinstance(document, Mapping):
        raise _NotHereError("the discovery document is not an object")
    named = document.get("issuer")
    if named != issuer:
        quoted = repr(named)[:_QUOTED_MAX_CHARS]
        raise UnusableAnswerError(f"the discovery document is of the issuer {quoted}; write exactly that, or mend it")
    if document.get(need) is None:
        raise _NotHereError(f"the discovery document names no {need}; write {need} into the configuration")
    names = {*ENDPOINT_NAMES, need}
    found = {name: _endpoint(name, document[name], issuer) for name in names if document.get(name) is not None}
    return Metadata(issuer, **found)


def _endpoint(name: str, value: object, issuer: str) -> str:
    try:
        url = parse_endpoint(value)
    except ValueError:
        raise UnusableAnswerError(f"the discovery document's {name} is no absolute http or https URL") from None
    if issuer.startswith("https:") and not url.startswith("https:") and not _stays_here(urlsplit(url).hostname or ""):
        raise UnusableAnswerError(f"the discovery document's {name} is not https, but the issuer is")
    return url


def _stays_here(host: str) -> bool:
    return host == "localhost" or is_loopback_address(host)
