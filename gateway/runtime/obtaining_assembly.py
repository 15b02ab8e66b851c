"""Adds to a generation what obtains permissions and tokens, where one of its routes asks for these."""

from __future__ import annotations

from typing import Protocol

from gateway.conditions.grant_conditions import Credential, Permitted, Phantom
from gateway.grants.obtained import LIFE_MAX_S
from gateway.introspection.ports import IntrospectionMeter
from gateway.obtaining.credential_port import CredentialPort, PhantomPort
from gateway.obtaining.grant_runner import GrantMeter
from gateway.obtaining.obtaining import Obtaining, new_obtaining, obtains
from gateway.obtaining.permission_port import PermissionPort
from gateway.proxy.generation import Generation


class AssemblyMeter(IntrospectionMeter, GrantMeter, Protocol):
    """Counts what the parts of a generation do."""


def add_obtaining(new: Generation, before: Generation | None, meter: GrantMeter) -> Generation:
    """Return `new`, with it. It is that of `before` where nothing that it is made of has changed."""
    if not obtains(new.config):
        return new
    shared = new.cache.shared
    if shared is not None:
        shared.extend_life(LIFE_MAX_S)
    known = None if before is None else before.obtaining
    if known is None or not known.serves(new.config, new.authenticator):
        known = _new_obtaining(new, meter)
    new.obtaining = known
    new.conditions.add(Permitted, PermissionPort(known.obtainer, new.token_buckets))
    new.conditions.add(Credential, CredentialPort(known.obtainer, known.client_tokens))
    new.conditions.add(Phantom, PhantomPort())
    return new


def _new_obtaining(new: Generation, meter: GrantMeter) -> Obtaining:
    shared = new.cache.shared
    leases = None if shared is None else shared.leases
    return new_obtaining(new.config, new.providers, new.cache.keys, shared, leases, new.authenticator, meter)
