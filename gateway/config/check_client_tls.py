"""The files of `tls` under a provider or a backend: whether they are there, and hold what they should."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gateway.config.backend_model import ClientTls
from gateway.config.check_listeners import PEM_LIMIT_BYTES, what_of_pair
from gateway.config.files import read_limited, shown_path
from gateway.config.node import Origin
from gateway.config.problems import Loc, Problem
from gateway.config.provider_model import Provider
from gateway.config.route_model import Route
from gateway.config.sections import Section


def problems_of_backend_tls(route: Section[Route]) -> Iterator[Problem]:
    """Of each backend of a route."""
    if route.is_valid("backend"):
        for index, one in enumerate(route.value.backend):
            if one.tls is not None:
                yield from _of(one.tls, ("backend", index, "tls"), route.origin)


def problems_of_provider_tls(provider: Section[Provider]) -> Iterator[Problem]:
    """Of a provider. Its endpoints may have other schemes, so that TLS may serve some of them only."""
    if provider.value.tls is not None and provider.is_valid("tls"):
        yield from _of(provider.value.tls, ("tls",), provider.origin)


def _of(tls: ClientTls, loc: Loc, origin: Origin) -> Iterator[Problem]:
    is_readable = True
    for key, path in (("ca", tls.ca), ("certificate", tls.certificate), ("key", tls.key)):
        if path is None:
            continue
        try:
            read_limited(Path(path), PEM_LIMIT_BYTES)
        except ValueError as error:
            is_readable = False
            yield origin.problem((*loc, key), str(error))
    if is_readable:
        yield from _loaded(tls, loc, origin)


def _loaded(tls: ClientTls, loc: Loc, origin: Origin) -> Iterator[Problem]:
    import ssl  # noqa: PLC0415 - takes time, and most files that are checked name no certificate

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if tls.ca is not None:
        try:
            context.load_verify_locations(tls.ca)
        except OSError:
            what = f"{shown_path(tls.ca)} holds no certificate; write a PEM file of authorities"
            yield origin.problem((*loc, "ca"), what)
    if tls.certificate is not None and tls.key is not None:
        try:
            # The password is asked for only where the key has one; without this, on the terminal.
            context.load_cert_chain(tls.certificate, tls.key, password=lambda: "")
        except (OSError, ValueError) as error:
            key, what = what_of_pair(error, tls.certificate, tls.key)
            yield origin.problem((*loc, key), what)
