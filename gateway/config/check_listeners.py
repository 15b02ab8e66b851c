"""Checks the listeners and the gateway's own credentials: ports, certificates, keys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import SecretStr

from gateway.config.files import read_limited, shown_path
from gateway.config.model import Cache
from gateway.config.node import Origin
from gateway.config.problems import Problem
from gateway.config.provider_model import Provider
from gateway.config.sections import Section
from gateway.config.server_model import Admin, Server, Tls
from gateway.config.values import Address
from gateway.http.syntax import VISIBLE

PEM_LIMIT_BYTES = 2**20
_PRINTABLE = re.compile(VISIBLE)
_ANY_IPV4 = "0.0.0.0"  # noqa: S104 - compared with, not listened on
_LOOPBACK = frozenset(["localhost", "127.0.0.1", "::1"])


def problems_of_listeners(server: Section[Server], admin: Section[Admin]) -> Iterator[Problem]:
    """Find ports that are taken twice, certificates that cannot be loaded, and a token that cannot be sent."""
    if server.is_valid("listen") and admin.is_valid("listen") and overlap(server.value.listen, admin.value.listen):
        yield _taken_twice(server, admin)
    if server.value.tls is not None and server.is_valid("tls"):
        yield from _tls(server.value.tls, server.origin)
    if server.value.proxy_protocol and not server.value.trusted_proxies and server.is_valid("trusted_proxies"):
        what = (
            "only server.trusted_proxies may connect then, and there are none; name the balancers there, or write false"
        )
        yield server.origin.problem(("proxy_protocol",), what)
    token = admin.value.token
    if token is not None and admin.is_valid("token") and not _PRINTABLE.fullmatch(token.get_secret_value()):
        what = "this cannot be sent in a header; write letters, digits and signs, without blanks"
        yield admin.origin.problem(("token",), what)


def problems_of_nonces(server: Section[Server], cache: Section[Cache]) -> Iterator[Problem]:
    """Find workers that could not take each other's nonces."""
    has_secret = cache.value.secret is not None or not cache.is_valid("secret")
    if server.value.dpop_nonce and server.value.workers != 1 and not has_secret:
        what = "without cache.secret no worker takes the nonces of another; write cache.secret, or workers: 1"
        yield server.origin.problem(("dpop_nonce",), what)


def problems_of_certificate_header(server: Section[Server], *, is_asked: bool) -> Iterator[Problem]:
    """Find a header that nobody may send. `is_asked`: proxies ask at the decisions listener, and are believed."""
    header = server.value.client_certificate_header
    if is_asked or header is None or server.value.trusted_proxies or not server.is_valid("trusted_proxies"):
        return
    what = "only server.trusted_proxies may send it, and there are none; name the proxies there, or leave this out"
    yield server.origin.problem(("client_certificate_header",), what)


def problems_of_key(provider: Section[Provider]) -> Iterator[Problem]:
    """Find a private key that cannot be read."""
    key = provider.value.private_key
    if key is not None and provider.is_valid("private_key") and not _is_private_key(key):
        what = "this is not a private key in PEM without a passphrase; write -----BEGIN PRIVATE KEY-----…"
        yield provider.origin.problem(("private_key",), what)


def _taken_twice(server: Section[Server], admin: Section[Admin]) -> Problem:
    if admin.origin.find(("listen",)).rest:
        what = f"the admin listener has this port ({admin.value.listen}); write another, or admin.listen"
        return server.origin.problem(("listen",), what)
    what = f"server.listen ({server.value.listen}) takes the same port; write another for one of them"
    return admin.origin.problem(("listen",), what)


def overlap(one: Address, other: Address) -> bool:
    """Whether nobody can listen on both."""
    if one.path is not None or other.path is not None:
        return one.path == other.path
    if one.port != other.port or one.port == 0:  # 0 takes any free port
        return False
    hosts = {one.host.lower(), other.host.lower()}
    if len(hosts) == 1 or hosts & {"", "::"}:
        return True
    if _ANY_IPV4 in hosts:
        return not any(":" in host for host in hosts)
    return "localhost" in hosts and hosts <= _LOOPBACK


def _tls(tls: Tls, origin: Origin) -> Iterator[Problem]:
    readable = True
    for key, path in (("certificate", tls.certificate), ("key", tls.key), ("client_ca", tls.client_ca)):
        if path is None:
            continue
        try:
            read_limited(Path(path), PEM_LIMIT_BYTES)
        except ValueError as error:
            readable = False
            yield origin.problem(("tls", key), str(error))
    if readable:
        yield from _loaded(tls, origin)


def _loaded(tls: Tls, origin: Origin) -> Iterator[Problem]:
    import ssl  # noqa: PLC0415 - takes time, and most files that are checked name no certificate

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # OpenSSL calls this where the key has a passphrase. Without it, OpenSSL would ask on the terminal.
        context.load_cert_chain(tls.certificate, tls.key, password=lambda: "")
    except (OSError, ValueError) as error:
        key, what = what_of_pair(error, tls.certificate, tls.key)
        yield origin.problem(("tls", key), what)
    if tls.client_ca is None:
        return
    try:
        context.load_verify_locations(tls.client_ca)
    except OSError:
        yield origin.problem(
            ("tls", "client_ca"), f"{shown_path(tls.client_ca)} holds no certificate; write a PEM file of authorities"
        )


def what_of_pair(error: Exception, certificate: str, key: str) -> tuple[str, str]:
    """Which of the two files is wrong, and what to say of it, after they could not be loaded together."""
    import ssl  # noqa: PLC0415 - as above

    if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
        shown = shown_path(certificate)
        return "key", f"{shown_path(key)} is not the key of {shown}; write the key that the certificate was made for"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(certificate)
    except OSError:
        shown = shown_path(certificate)
        return "certificate", f"{shown} holds no certificate; write a PEM file, the server's own certificate first"
    return "key", f"{shown_path(key)} holds no private key that can be used; write a PEM file without a passphrase"


def _is_private_key(key: SecretStr) -> bool:
    # Not above: it takes long, and few files name a key.
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    try:
        load_pem_private_key(key.get_secret_value().encode(), password=None)
    except Exception:  # noqa: BLE001 - cryptography raises several kinds, and more with each release
        return False
    return True
