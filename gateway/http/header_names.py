"""Compares header names by their letters and digits only.

A backend may read `X!User!Id` as `X-User-Id`: CGI and WSGI make `_` of `-`, PHP also of `.`, lighttpd of every
character that is neither letter nor digit, and others drop such characters. The comparison is coarser than each of
these, so that no name from a client becomes a protected one behind the gateway. Only the names in the sets below, and
those that the configuration protects, are compared in this way. All other names pass unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_SEPARATORS = re.compile(r"[^0-9a-z]+")


def fold_header_name(name: str) -> str:
    """The letters and digits of a name in lower case: equal for two names that some backend takes for the same."""
    return _SEPARATORS.sub("", name.lower())


def folded(names: Iterable[str]) -> frozenset[str]:
    return frozenset(fold_header_name(name) for name in names)


# RFC 9110 §7.6.1, with those of RFC 2616 that backends still take for their own.
HOP_BY_HOP = folded(
    [
        "Connection",
        "HTTP2-Settings",
        "Keep-Alive",
        "Proxy-Authenticate",
        "Proxy-Authorization",
        "Proxy-Connection",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
    ]
)
# The gateway writes these anew for each message: framing and routing are never copied.
FRAMING = folded(["Content-Length", "Expect", "Host"])
# CGI backends turn it into HTTP_PROXY, which their HTTP clients obey (httpoxy, CVE-2016-5385).
HTTPOXY = folded(["Proxy"])
# A proof of possession is for the resource server that it was made for, which the gateway is (RFC 9449 §7.1).
PROOFS = folded(["DPoP"])
# The gateway itself sends these to backends. Some go out only where they have a value.
TOLD_TO_BACKENDS = folded(
    [
        "Forwarded",
        "Via",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Port",
        "X-Forwarded-Prefix",
        "X-Forwarded-Proto",
        "X-Request-Id",
    ]
)
# Proxies, CDNs and authenticating proxies send these to the servers behind them: they name the client, the user, or the
# request before it was rewritten. A server that follows one of these follows anyone who could write it.
_FROM_PROXIES = folded(
    [
        "Ali-CDN-Real-IP",
        "CDN-Src-IP",
        "Cf-Connecting-IP",
        "Cf-Connecting-IPv6",
        "Cf-Pseudo-IPv4",
        "Client-Cert",
        "Client-Cert-Chain",
        "Client-IP",
        "DO-Connecting-IP",
        "Fastly-Client-IP",
        "Fly-Client-IP",
        "Front-End-Https",
        "Http-Client-IP",
        "Incap-Client-IP",
        "Proxy-Client-IP",
        "Proxy-Host",
        "Proxy-Url",
        "Remote-Addr",
        "Remote-Email",
        "Remote-Groups",
        "Remote-Name",
        "Remote-User",
        "Request-Uri",
        "Script-Name",
        "Ssl-Client-Cert",
        "Ssl-Client-Verify",
        "True-Client-IP",
        "WL-Proxy-Client-IP",
        "X-Accel-Mapping",
        "X-Amzn-Oidc-Accesstoken",
        "X-Amzn-Oidc-Data",
        "X-Amzn-Oidc-Identity",
        "X-Anonymous-Consumer",
        "X-Arr-ClientCert",
        "X-Arr-SSL",
        "X-Azure-ClientIP",
        "X-Azure-SocketIP",
        "X-Backend-Host",
        "X-Client-Cert",
        "X-Client-DN",
        "X-Client-IP",
        "X-Client-Verify",
        "X-Cluster-Client-IP",
        "X-Credential-Identifier",
        "X-Custom-IP-Authorization",
        "X-From-IP",
        "X-Goog-Iap-Jwt-Assertion",
        "X-Host",
        "X-Http-Destinationurl",
        "X-Http-Host-Override",
        "X-Nf-Client-Connection-IP",
        "X-Override-Url",
        "X-Proxy-Url",
        "X-Proxyuser-IP",
        "X-Real-IP",
        "X-Real-Host",
        "X-Real-Port",
        "X-Remote-Addr",
        "X-Remote-Host",
        "X-Remote-IP",
        "X-Replaced-Path",
        "X-Request-Uri",
        "X-Rewrite-Uri",
        "X-Rewrite-Url",
        "X-Rewritten-Url",
        "X-Scheme",
        "X-Script-Name",
        "X-Sendfile-Type",
        "X-Source-IP",
        "X-True-Client-IP",
        "X-True-IP",
        "X-Url-Scheme",
    ]
)
# Prefixes of the same kind: every name with one of them counts, even an unknown one.
_FROM_PROXIES_PREFIXES = (
    "cfaccess",
    "sslclient",
    "tailscaleuser",
    "xamznmtls",
    "xappengineuser",
    "xauthenticated",
    "xauthentik",
    "xauthrequest",
    "xconsumer",
    "xenvoy",
    "xforward",
    "xgoogauthenticated",
    "xmsclientprincipal",
    "xmstoken",
    "xoriginal",
    "xoriginating",
    "xpomerium",
    "xremoteextra",
    "xremotegroup",
    "xremoteuser",
    "xsslclient",
    "xvercelforwarded",
    "xvercelproxied",
    "xvouch",
    "xwebauth",
)


def is_from_proxies(folded_name: str) -> bool:
    """Whether only a proxy in front of the gateway has a reason to send a field of this name."""
    return folded_name in _FROM_PROXIES or folded_name.startswith(_FROM_PROXIES_PREFIXES)


# A Connection header cannot remove any of these: they decide about the message or describe it (under RFC 9110 §7.6.1 a
# sender may nominate only fields for the next hop). The gateway adds its own fields afterwards.
_NEVER_NOMINATED = folded(
    [
        "Authorization",
        "Baggage",
        "Cache-Control",
        "Cookie",
        "DPoP",
        "Host",
        "Origin",
        "Referer",
        "Set-Cookie",
        "Traceparent",
        "Tracestate",
        "Vary",
        "WWW-Authenticate",
        "X-Identity-Stale",
    ]
)
_NEVER_NOMINATED_PREFIXES = ("accesscontrol", "content", "secfetch", "xrequestid")


def may_be_nominated(folded_name: str) -> bool:
    """Whether `Connection` may remove fields of this name."""
    return not (
        not folded_name
        or folded_name in _NEVER_NOMINATED
        or folded_name.startswith(_NEVER_NOMINATED_PREFIXES)
        or is_from_proxies(folded_name)
    )
