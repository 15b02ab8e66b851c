"""The listener's TLS: the certificate it shows, and the ones it asks clients for (RFC 8446, RFC 9325, RFC 8705)."""

from __future__ import annotations

import asyncio
import ssl

from gateway.authn.client_certificate import thumbprint
from gateway.config.server_model import Tls
from gateway.proxy.downstream.any_certificate import take_any_certificate


def server_context(tls: Tls) -> ssl.SSLContext:
    """A context for the listener. Raises `OSError` (`ssl.SSLError` among them) where a file cannot be used."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tls.client_ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(tls.certificate, tls.key)
    if tls.client_certificate == "ask":
        take_any_certificate(context)
    elif tls.client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def told_by_tls(transport: asyncio.BaseTransport) -> tuple[str, str | None]:
    """The scheme of a connection that has shaken hands, and the thumbprint of its client's certificate, if any."""
    tls = transport.get_extra_info("ssl_object")
    if tls is None:
        return "http", None
    certificate = tls.getpeercert(binary_form=True)
    return "https", None if certificate is None else thumbprint(certificate)
