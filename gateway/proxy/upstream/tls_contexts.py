"""The TLS contexts towards backends: one for each set of files, read when a configuration comes into force."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.config.route_model import Route
from gateway.http.backend import TlsFiles
from gateway.provider.client_context import client_context, fingerprint


@dataclass(frozen=True, slots=True, eq=False)
class TlsContext:
    """`files` tells what was in the files as they were read."""

    context: ssl.SSLContext
    files: bytes


def tls_contexts(routes: Iterable[Route]) -> dict[TlsFiles, TlsContext]:
    """For the backends that have TLS of their own. Raises `ValueError` with the reason where a file cannot be used."""
    found: dict[TlsFiles, TlsContext] = {}
    for route in routes:
        for one in route.backend:
            files = one.backend.tls
            if files is None or files in found:
                continue
            try:
                found[files] = read_context(files)
            except OSError as error:
                what = f"its files cannot be used ({error}); name others"
                raise ValueError(f"tls of the backend {one.url} of route {route.name}: {what}") from error
    return found


def read_context(files: TlsFiles | None) -> TlsContext:
    """Raises `OSError`."""
    context = client_context(files)
    context.set_alpn_protocols(["http/1.1"])
    return TlsContext(context, fingerprint(files))
