"""The address of the proxy that calls to a provider go through: `http://[user:password@]host[:port]`.

User and password are percent-encoded. The URL may carry a password, so no message shows any part of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote

from pydantic import SecretStr

from gateway.http.percent import has_bad_triplet
from gateway.http.syntax import VISIBLE

_URL = re.compile(
    r"http://(?:([^/?#\[\]@]{1,2000})@)?(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_.-]{1,253})(?::([0-9]{1,5}))?/?"
)
_PRINTABLE = re.compile(VISIBLE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PORT_MAX = 65535
_INSTEAD = "write http://proxy:3128, or http://user:password@proxy:3128 with / ? # @ in them percent-encoded"


@dataclass(frozen=True, slots=True)
class ForwardProxy:
    """Holds a proxy. `url` has neither user nor password in it, so that it can be shown."""

    url: str
    username: str | None = field(default=None, repr=False)
    password: str = field(default="", repr=False)


def check_proxy_url(value: SecretStr) -> SecretStr:
    """The URL, which can then be used. Raises `ValueError`, in words that show nothing of it."""
    parse_proxy_url(value.get_secret_value())
    return value


def parse_proxy_url(url: str) -> ForwardProxy:
    """The proxy of a URL. Raises `ValueError`, in words that show nothing of it."""
    match = _URL.fullmatch(url) if _PRINTABLE.fullmatch(url) else None
    if match is None or not 0 < int(match[3] or 80) <= _PORT_MAX:
        raise ValueError(f"this is not the URL of an http:// proxy; {_INSTEAD}")
    login, host, port = match.groups()
    place = f"http://{host}:{port or 80}"
    if login is None:
        return ForwardProxy(place)
    username, _, password = login.partition(":")
    # RFC 7617 §2: no colon in the user, no control in either.
    if not username or has_bad_triplet(login) or ":" in unquote(username) or _CONTROL.search(unquote(login)):
        raise ValueError(f"the URL's user or password is not one that can be sent; {_INSTEAD}")
    return ForwardProxy(place, unquote(username), unquote(password))
