"""TLS towards a server that the gateway calls, be it a provider or a backend (RFC 8446, RFC 9325)."""

from __future__ import annotations

import ssl
from hashlib import sha256
from pathlib import Path

from gateway.config.backend_model import ClientTls
from gateway.http.backend import TlsFiles


def client_context(files: TlsFiles | None) -> ssl.SSLContext:
    """A context that verifies the server and its name.

    `files.ca` replaces the authorities of the system. Raises `OSError` (`ssl.SSLError` among them) where a file cannot
    be used.
    """
    context = ssl.create_default_context(cafile=None if files is None else files.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if files is not None and files.certificate is not None:
        context.load_cert_chain(files.certificate, files.key)
    return context


def own_context(tls: ClientTls | None) -> ssl.SSLContext | None:
    """The same; `None`, which is the system's trust, where nothing else is configured."""
    return None if tls is None else client_context(tls.files)


def fingerprint(files: TlsFiles | None) -> bytes:
    """Tells whether the files hold what they held before, since certificates are renewed under one name."""
    found = sha256()
    for path in () if files is None else (files.ca, files.certificate, files.key):
        found.update(b"\0" if path is None else sha256(Path(path).read_bytes()).digest())
    return found.digest()
