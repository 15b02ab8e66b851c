"""What `introspection` under a provider needs of the keys beside it."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.problems import Problem
from gateway.config.provider_model import Provider
from gateway.config.sections import Section


def problems_of_introspection(provider: Section[Provider]) -> Iterator[Problem]:
    if not provider.is_valid("introspection", "issuer", "token_endpoint", "client_auth"):
        return
    settings, how = provider.value, provider.value.introspection
    if how.accept == "jwt" and settings.issuer is None:
        what = "the answer's iss cannot be compared with the provider's; write issuer: https://… beside it"
        yield provider.origin.problem(("introspection", "accept"), what)
    if how.auth == "bearer" and settings.client_auth == "none":
        what = "a client that proves nothing gets no token of its own; write a client_auth with a secret or a key"
        yield provider.origin.problem(("introspection", "auth"), what)
    if how.auth == "bearer" and settings.issuer is None and settings.token_endpoint is None:
        what = "it is not known where the gateway's own token comes from; write token_endpoint: https://…"
        yield provider.origin.problem(("introspection", "auth"), what)
