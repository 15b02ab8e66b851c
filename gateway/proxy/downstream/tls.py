"""The listener's TLS: the certificate it shows and, where `client_ca` is set, the ones it asks for (RFC 8446, 9325)."""

from __future__ import annotations

import ssl

from gateway.config.server_model import Tls


def server_context(tls: Tls) -> ssl.SSLContext:
    """A context for the listener. Raises `OSError` (`ssl.SSLError` among them) where a file cannot be used."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tls.client_ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(tls.certificate, tls.key)
    if tls.client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context
