"""Header names as they are compared: by their letters and digits alone.

A backend may read `X!User!Id` as `X-User-Id`: CGI and WSGI make `_` of `-`, PHP also of `.`, lighttpd of every
character that is neither letter nor digit, and others drop such characters. The comparison is coarser than each of
these, so that no name a client can write becomes a protected one behind the gateway. Only names in the sets below, and
those that the configuration protects, are compared in this way; all other names pass as they came.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_SEPARATORS = re.compile(r"[^0-9a-z]+")


def fold_header_name(name: str) -> str:
    """The letters and digits of a name, lower case: equal for two names that some backend takes for one."""
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
# What each message gets anew: framing and routing are never taken over as text.
FRAMING = folded(["Content-Length", "Expect", "Host"])
# CGI backends make HTTP_PROXY of it, which their HTTP clients obey (httpoxy, CVE-2016-5385).
HTTPOXY = folded(["Proxy"])
# What the gateway itself tells backends of a request. Some go out only where there is something to tell.
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
# What proxies, CDNs and authenticating proxies tell the servers behind them: of the client, of the request as it was
# before they rewrote it, of the user. A server that follows one of these follows whoever could write it.
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
# Whole families of the same kind. A name that begins so is one of them, also where nobody has heard of it yet.
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
    """Whether only a proxy in front has a reason to send a field of this name."""
    return folded_name in _FROM_PROXIES or folded_name.startswith(_FROM_PROXIES_PREFIXES)


# A Connection header takes none of these away: they decide about the message or describe it (RFC 9110 §7.6.1 lets a
# sender nominate only what it means for the next hop). What the gateway adds is added afterwards.
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
    """Whether `Connection` may take fields of this name away."""
    return not (
        not folded_name
        or folded_name in _NEVER_NOMINATED
        or folded_name.startswith(_NEVER_NOMINATED_PREFIXES)
        or is_from_proxies(folded_name)
    )
