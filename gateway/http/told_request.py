"""Reads the request that another proxy tells of in a request of its own, which is called the subrequest here.

nginx `auth_request`, Traefik ForwardAuth, Caddy `forward_auth` and Envoy `ext_authz` ask about a request of theirs and
tell it in one of three ways: `X-Forwarded-Method`, `-Uri` and `-Host`; or `X-Original-Method` and `X-Original-URL`; or
the subrequest is that request, with its path behind `/envoy`. Its other fields are those of the client.

Clients can write these fields too, and proxies pass on what they do not know. So a field that came twice, half of one
way, and two ways at once are refused: one of them may be the client's. Another spelling of an identity header is
refused as well. The proxy does not remove it, and its backend may read it as the header that the gateway writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from gateway.http.fates import DEPENDS, OF_PROXIES, PASSES, READ, FieldFates
from gateway.http.header_names import fold_header_name, folded
from gateway.http.refusal import Refusal
from gateway.http.request_fields import Fields
from gateway.http.syntax import TOKEN
from gateway.http.target import read_authority

_ENVOY: Final = "/envoy/"
_FORWARDED: Final = ("x-forwarded-method", "x-forwarded-uri", "x-forwarded-host")
_ORIGINAL: Final = ("x-original-method", "x-original-url")
_WAYS: Final[tuple[tuple[str, ...], ...]] = (_FORWARDED, _ORIGINAL)
_TELLING: Final = frozenset((*_FORWARDED, *_ORIGINAL))
_PROTO: Final = "x-forwarded-proto"
_WITH_ANY: Final = frozenset(("x-forwarded-for", _PROTO, "x-request-id"))
_SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}  # Traefik names WebSockets so
_METHOD = re.compile(TOKEN)
_ABSOLUTE = re.compile(r"(?i:(https?))://([^/?#]*)(.*)")
_AUTHORIZATION: Final = "authorization"


class Told:
    """Holds the request that was told: `target` as it stood in its request line, `fields` with its `Host`."""

    __slots__ = ("fields", "method", "target")

    def __init__(self, method: str, target: str, fields: Fields) -> None:
        self.method = method
        self.target = target
        self.fields = fields


class SubrequestFates(FieldFates):
    """Holds the fates of a subrequest's fields. None goes on to a backend, but for the `Authorization` of some routes.

    Fields that tell of the request, and other spellings of those and of `identity_names`, are read as `of_proxies`.
    """

    def __init__(
        self, identity_names: Iterable[str], *, keeps_authorization: bool = False, reads_trace: bool = False
    ) -> None:
        names = frozenset(name.lower() for name in identity_names)
        super().__init__(folded(names), keeps_authorization=keeps_authorization, reads_trace=reads_trace)
        self._exact = names | {_AUTHORIZATION}
        self._protected = folded((*self._exact, *_TELLING))

    def _fate(self, name: str) -> int:
        lower = name.lower()
        fate = super()._fate(name)
        if lower == _AUTHORIZATION:
            return fate
        fate &= ~(PASSES | DEPENDS)
        if lower in _TELLING or lower in _WITH_ANY:
            return fate & ~READ | OF_PROXIES
        if lower not in self._exact and fold_header_name(name) in self._protected:
            return fate & ~READ | OF_PROXIES
        return fate & ~READ if fate & READ == OF_PROXIES else fate


def read_told(method: str, target: str, fields: Fields, scheme: str) -> Told | Refusal:
    """Read the request that a subrequest tells of. Its fields were read by `SubrequestFates`.

    `scheme` is that of the connection, for a proxy that names none. The fields become those of the request.
    """
    said: dict[str, str] = {}
    beside: list[tuple[str, str]] = []
    for name, value in fields.of_proxies:
        lower = name.lower()
        if lower in _WITH_ANY:
            beside.append((lower, value))
        elif lower not in _TELLING:
            return _invalid("a header is spelled like another one that decides here", name)
        elif lower in said:
            return _invalid("the request is told twice", f"{name} came twice")
        else:
            said[lower] = value
    ways = [way for way in _WAYS if any(name in said for name in way)]
    is_itself = target.startswith(_ENVOY)
    if len(ways) + is_itself != 1:
        return _invalid("a request is told in exactly one way", _told_in(said, is_itself=is_itself))
    if ways and (lacking := [name for name in ways[0] if name not in said]):
        return _invalid("the request is told by half", f"{' and '.join(lacking)} did not come")
    if _FORWARDED in ways:
        told = _by_forwarded(said, fields)
    elif ways:
        told = _by_original(said, fields, beside)
    else:
        told = Told(method, target[len(_ENVOY) - 1 :], fields)
    return told if isinstance(told, Refusal) else _completed(told, beside, scheme)


def _by_forwarded(said: dict[str, str], fields: Fields) -> Told | Refusal:
    method, uri, host = (said[name] for name in _FORWARDED)
    # The authority of an absolute-form target would count, and the proxy may have gone by the other one.
    absolute = _ABSOLUTE.fullmatch(uri)
    if absolute is not None and read_authority(absolute[2]) != read_authority(host):
        reason = "X-Forwarded-Uri names another host than X-Forwarded-Host"
        return _invalid("the request is told with two hosts", reason)
    fields.hosts = [host]
    return Told(method, uri, fields)


def _by_original(said: dict[str, str], fields: Fields, beside: list[tuple[str, str]]) -> Told | Refusal:
    method, url = (said[name] for name in _ORIGINAL)
    absolute = _ABSOLUTE.fullmatch(url)
    if absolute is None:
        return _invalid("X-Original-URL is not a whole URL", "write scheme, host and request target")
    host, target = absolute[2], absolute[3] or "/"
    if target[0] != "/":
        # nginx takes `Host: a?`, and would tell of /orders/7 by http://a?/orders/7, whose path is not that one.
        return _invalid("X-Original-URL has no path", "what is behind its host does not begin with a slash")
    fields.hosts = [host]
    beside.append((_PROTO, absolute[1]))  # the last one counts, and a client may have written another
    return Told(method, target, fields)


def _completed(told: Told, beside: list[tuple[str, str]], scheme: str) -> Told | Refusal:
    """Leave of the fields what belongs to the request, and name its scheme."""
    if not _METHOD.fullmatch(told.method):
        return _invalid("the method that was told is not a method")
    protos = [value.rpartition(",")[2].strip(" \t").lower() for name, value in beside if name == _PROTO]
    proto = _SCHEMES.get(protos[-1], scheme) if protos else scheme
    fields = told.fields
    fields.lengths = fields.encodings = fields.options = fields.vias = ()  # of the subrequest
    fields.of_proxies = [*[one for one in beside if one[0] != _PROTO], (_PROTO, proto)]
    return told


def _told_in(said: dict[str, str], *, is_itself: bool) -> str:
    found = [*said, *(["the path"] if is_itself else [])]
    return f"it is told by {' and '.join(found)}" if found else "nothing tells of it"


def _invalid(detail: str, reason: str | None = None) -> Refusal:
    return Refusal("invalid_request", detail, reason=reason)
