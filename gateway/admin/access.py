"""Decides who may use the admin listener: the holder of its token, and no page that tricks a browser."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from ipaddress import ip_address

from pydantic import SecretStr

from gateway.config.values import Address, is_loopback_address
from gateway.http.refusal import Refusal

_REALM = 'Bearer realm="gateway admin"'
_MISSING = Refusal("token_missing", "this needs the admin token", (("WWW-Authenticate", _REALM),))
_WRONG = Refusal(
    "invalid_token", "this is not the admin token", (("WWW-Authenticate", f'{_REALM}, error="invalid_token"'),)
)
_NONE_CONFIGURED = Refusal("forbidden", "no admin token is configured, so nobody may do this; set admin.token")
_HOST = re.compile(r"(?:\[([^\[\]]{1,100})\]|([^:\[\]]{1,255}))(?::[0-9]{0,5})?")


def token_refusal(authorization: Sequence[str], token: SecretStr | None) -> Refusal | None:
    """The refusal for these `Authorization` headers, or None when they carry `token`.

    Two headers, or another scheme, count as no token. Nobody holds an empty configured token.
    """
    expected = token.get_secret_value() if token is not None else ""
    if not expected:
        return _NONE_CONFIGURED
    if len(authorization) != 1:
        return _MISSING
    scheme, _, sent = authorization[0].strip(" \t").partition(" ")
    if scheme.lower() != "bearer":
        return _MISSING
    # Digests, so that the time taken shows neither the length nor a common beginning.
    if not hmac.compare_digest(_digest(sent.strip(" ")), _digest(expected)):
        return _WRONG
    return None


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def is_rebound(host: str | None, listen: Address) -> bool:
    """Whether a browser was led here by a foreign name (DNS rebinding).

    A page may have its own host name resolve to 127.0.0.1. It then reads from a loopback listener as from its own site.
    It cannot do so with an address or with `localhost`, and a client without `Host` is not a browser. A listener beyond
    loopback has names that we do not know, and is not meant to be private to this machine.
    """
    if host is None or not _stays_here(listen):
        return False
    match = _HOST.fullmatch(host)
    name = (match[1] or match[2]) if match else ""
    return not (_is_address(name) or name.lower().rstrip(".") == "localhost")


def _stays_here(listen: Address) -> bool:
    return listen.path is None and (listen.host == "localhost" or is_loopback_address(listen.host))


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
