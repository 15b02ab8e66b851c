"""The listeners, as the configuration names them; see `gateway.config.model`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gateway.config.model_base import Model
from gateway.config.value_types import (
    Bytes,
    BytesOrUnlimited,
    Count,
    Endpoint,
    FilePath,
    Flag,
    Listen,
    LongSecretOrNone,
    Origin,
    Seconds,
    TrustedName,
    TrustedPeer,
    Workers,
)
from gateway.config.values import Address


class Tls(Model):
    """Certificates of the listener; `client_ca` asks clients for certificates of their own."""

    certificate: FilePath
    """PEM file: the server's certificate, then those between it and the authority."""

    key: FilePath
    """PEM file: the certificate's private key, without a passphrase."""

    client_ca: FilePath | None = None
    """PEM file of authorities: clients must show a certificate of one of them. Default: not asked."""

    client_certificate: Literal["demand", "ask"] = "demand"
    """With client_ca. demand: without a certificate there is no connection. ask: a client may show none, and one that
    signed its own is taken, for tokens that are bound to it; so anybody may connect. Default demand."""


class CertificateHeader(Model):
    """The header in which trusted proxies pass a client's certificate on, for tokens that are bound to one."""

    name: TrustedName
    """Of the header, such as Client-Cert, X-Client-Cert or X-Forwarded-Client-Cert. A proxy must overwrite it in every
    request, or its clients write it; it is removed from what others send."""

    form: Literal["rfc9440", "pem_escaped", "xfcc"]
    """rfc9440: Client-Cert of RFC 9440; pem_escaped: PEM in percent-encoding (nginx's $ssl_client_escaped_cert, AWS);
    xfcc: Envoy's X-Forwarded-Client-Cert with Hash or Cert, whose last element counts."""


class UnknownTokens(Model):
    """A bucket for each client address: `burst` at once, refilled with `rate` a second."""

    rate: Annotated[Count, Field(ge=1)] = 200
    """Refilled per second. Default 200. A token that turns out active costs nothing."""

    burst: Annotated[Count, Field(ge=1)] = 1_000
    """At once. Default 1000."""


class Server(Model):
    listen: Listen = Address("0.0.0.0", 8080)  # noqa: S104 - a gateway is there to be reached
    """host:port or unix:/path. Default 0.0.0.0:8080. Danger: everyone who reaches the machine reaches it."""

    workers: Workers = 1
    """Processes on one port; auto is one per core. Default 1. Not changed by a reload."""

    tls: Tls | None = None
    """Certificates. Default none: plain HTTP, for a gateway behind something that ends TLS."""

    trusted_proxies: tuple[TrustedPeer, ...] = ()
    """Networks believed in X-Forwarded-For, -Proto, -Host, -Port, -Prefix, Forwarded and X-Request-Id; unix for the
    peers of a Unix socket. Default nobody. Danger: each of them can speak for every client."""

    trusted_headers: tuple[TrustedName, ...] = ()
    """Further headers that trusted proxies may send and nobody else, such as X-Real-IP. Default none. Danger: a proxy
    must overwrite each of them in every request, or its clients write them."""

    client_certificate_header: CertificateHeader | None = None
    """Where trusted_proxies end TLS: {name, form} of the header in which they pass a client's certificate on, for
    tokens that are bound to one (RFC 8705). Default none."""

    dpop_nonce: Flag = False
    """Whether a DPoP proof needs a nonce of the gateway's (RFC 9449 §9), sealed with cache.secret; without one 401
    use_dpop_nonce with DPoP-Nonce. Default false."""

    proxy_protocol: Flag = False
    """Whether each connection begins with a header of the PROXY protocol (version 1 or 2), which tells the client's
    address; only from trusted_proxies. Default false. Not changed by a reload. Danger: with true, all others
    are closed."""

    header_timeout: Annotated[Seconds, Field(gt=0)] = 10.0
    """First byte to the end of the headers. Default 10s; more than 0."""

    idle_timeout: Annotated[Seconds, Field(gt=0)] = 75.0
    """How long a connection may wait for its next request. Default 75s; more than 0."""

    drain_delay: Seconds = 0.0
    """How long the gateway goes on accepting after SIGTERM, while it is not ready and each response closes its
    connection. Default 0s: new connections are refused at once. Danger: balancers that take longer to notice
    meet a closed port."""

    shutdown_timeout: Seconds = 30.0
    """How long requests may go on after SIGTERM and drain_delay. Default 30s; 0s cuts them off."""

    max_header_bytes: Annotated[Bytes, Field(ge=1024, le=2**24)] = 32 * 2**10
    """The longest target, and all headers together. Default 32KiB; 1KiB to 16MiB."""

    max_headers: Annotated[Count, Field(ge=1, le=10_000)] = 100
    """The most header lines. Default 100; 1 to 10000."""

    max_body: BytesOrUnlimited = 10 * 2**20
    """The largest request body, for routes that do not say their own. Default 10MiB; 0 allows none. Danger: unlimited
    leaves it to the backends."""

    min_body_rate: Bytes = 240
    """Bytes a second that a request body must bring on the whole, after 5s and while the backend reads; else 408.
    Default 240. Danger: 0 lets a body that drips hold a backend connection for ever."""

    max_connections: Annotated[Count, Field(ge=1)] = 10_000
    """The most client connections of one worker, and the most to each backend. Default 10000."""

    max_connections_per_network: Annotated[Count, Field(ge=1)] | None = None  # half of max_connections
    """The most of them for one IPv4 address or IPv6 /64; a /48 may have half as many again, trusted_proxies and Unix
    sockets as many as there are. Default half of them, but at least 256, or seven eighths where those are fewer.
    Danger: a balancer that trusted_proxies does not name has one address for all of its clients."""

    fast_path: Flag = True
    """Whether plain requests are answered without entering aiohttp. Default true; false to compare."""

    watch: Flag = False
    """Whether a change of this file, or of a file of secrets, keys or certificates that it names, reloads it within 5s,
    as SIGHUP does. Default false. Danger: with true, whoever can write to one of them decides at once."""

    problem_types: Endpoint | None = None
    """Where you publish a page about the codes of refusals, such as docs/guides/troubleshooting.md: type of a problem
    document is this address, # and the code. Default none: about:blank. The admin listener always says that."""

    unknown_tokens: UnknownTokens | None = UnknownTokens()
    """How many tokens that nobody knows one client address may try, per worker; beyond, 429. null: as many as it likes.
    Danger: with null, a client that makes up tokens decides how often the provider is asked."""


class AdminCors(Model):
    allow_origins: tuple[Origin, ...] = ()
    """scheme://host[:port] of each, or *. Default none."""


class Admin(Model):
    """`token` guards what changes state or shows a token's facts; without one, those answer 403."""

    listen: Listen = Address("127.0.0.1", 9090)
    """host:port or unix:/path. Default 127.0.0.1:9090. Danger: it shows routes and metrics to all."""

    token: LongSecretOrNone | None = None
    """The bearer token for POST /explain and DELETE /cache, 16 characters at least. Unset or empty: those are 403."""

    cors: AdminCors = AdminCors()
    """Origins whose pages may read the admin listener. Default none."""


class Decisions(Model):
    """A third listener, for proxies that ask what the gateway would decide about a request of theirs."""

    listen: Listen
    """host:port or unix:/path. Not changed by a reload. Danger: whoever reaches it is believed about the request, its
    client's address and its certificate, so only the proxies beside the gateway may."""
