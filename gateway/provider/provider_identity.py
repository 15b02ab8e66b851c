"""What tells one provider from another: in the keys of caches, and in the names of what is revoked."""

from __future__ import annotations

import json
from hashlib import sha256

from gateway.authn.claim_places import claim_places
from gateway.config.introspection_model import IntrospectionSettings
from gateway.config.provider_model import Provider

# Stands for an introspection endpoint that discovery finds. Its document is the issuer's own, so issuer and client say
# which endpoint is meant, before and after any instance has discovered it.
_DISCOVERED = b"\x02"
_NAMED = b"\x01"
_ABSENT = b"\x00"


def realm(config: Provider) -> str:
    """The issuer whose subjects, sessions and clients the provider's results name. Two providers may share one."""
    own = config.events.issuer if config.events is not None else None
    return config.issuer or own or _whose_tokens(config).hex()


def identity(config: Provider) -> bytes:
    """Issuer, introspection endpoint, client id and how it is asked: tells this provider from others in a cache key.

    It comes only from the configuration, so that all instances of a fleet agree on it at any time. Each part carries
    its type and its length, so that no two configurations give the same bytes.
    """
    whose = _whose_tokens(config) + _unusual(config)
    how = config.introspection
    if how == IntrospectionSettings():
        return whose
    # Another `Host`, parameter or form of the answer gives other facts. The values may be secrets.
    settings = json.dumps(
        [how.accept, how.token_type_hint, how.auth, sorted(how.headers.items()), sorted(how.parameters.items())]
    )
    return whose + _length_prefixed(sha256(settings.encode()).hexdigest())


def _whose_tokens(config: Provider) -> bytes:
    endpoint = config.introspection_endpoint
    parts = (
        _ABSENT if config.issuer is None else _length_prefixed(config.issuer),
        _DISCOVERED if endpoint is None else _length_prefixed(endpoint),
        _length_prefixed(config.client_id),
    )
    return b"".join(parts)


def _unusual(config: Provider) -> bytes:
    """Facts that were judged in another way than by introspection, or whose claims were moved, are other facts."""
    places = claim_places(config.claims).identity
    if config.validation == "introspection" and not places:
        return b""
    return _length_prefixed(config.validation) + _length_prefixed(places.decode())


def _length_prefixed(text: str) -> bytes:
    data = text.encode()
    return _NAMED + len(data).to_bytes(4, "big") + data
