"""What a provider's metadata says of introspection and of proofs (RFC 8414 §2, RFC 9701 §7, RFC 9449 §5.1).

Only for the operator: it explains a refusal, and warns of one to come. It never loosens a check, nor is anything
refused because metadata does not list it: documents are often behind what the endpoint really does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.config.provider_model import Provider
from gateway.provider.signing_keys import ALGORITHMS

_LISTED_MAX = 30
_CHARS_MAX = 60


@dataclass(frozen=True, slots=True)
class Supported:
    """Lists what the metadata names; empty where it names nothing."""

    auth_methods: tuple[str, ...] = ()
    signing_algorithms: tuple[str, ...] = ()
    dpop_algorithms: tuple[str, ...] = ()

    def objection(self, config: Provider) -> str:
        """Why the endpoint will probably refuse the gateway, or its answers be refused; empty where nothing says so."""
        how = config.introspection
        method = "bearer" if how.auth == "bearer" else config.client_auth
        if self.auth_methods and method not in map(_spelled, self.auth_methods):
            named = ", ".join(self.auth_methods)
            return f"its metadata names for introspection {named}, and not {method}"
        if how.accept == "jwt" and self.signing_algorithms and ALGORITHMS.isdisjoint(self.signing_algorithms):
            named = ", ".join(self.signing_algorithms)
            return f"its metadata names for signed introspection {named}, and none of these is accepted"
        return ""

    def objection_to_proofs(self, config: Provider) -> str:
        """Why the tokens that it binds to keys will all be refused here; empty where nothing says so."""
        if not self.dpop_algorithms or not set(config.algorithms).isdisjoint(self.dpop_algorithms):
            return ""
        named = ", ".join(self.dpop_algorithms)
        return f"its metadata names for DPoP proofs {named}, and none of these is among algorithms"


def read_supported(document: Mapping[str, object]) -> Supported:
    """What a discovery document says; members of other types say nothing."""
    return Supported(
        _names(document.get("introspection_endpoint_auth_methods_supported")),
        _names(document.get("introspection_signing_alg_values_supported")),
        _names(document.get("dpop_signing_alg_values_supported")),
    )


def _names(value: object) -> tuple[str, ...]:
    names = value[:_LISTED_MAX] if isinstance(value, list) else []
    return tuple(name for name in names if isinstance(name, str) and len(name) <= _CHARS_MAX and name.isprintable())


def _spelled(method: str) -> str:
    """Token types stand in the list, too (RFC 8414 §2), in any case."""
    return "bearer" if method.lower() == "bearer" else method
