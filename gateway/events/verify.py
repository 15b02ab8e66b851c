"""Verifies that an event comes from a configured issuer, is meant for us, and bears that issuer's signature.

Before the signature is verified, the `iss` that the event names decides only whose keys are fetched. Keys of one issuer
never count for another (OpenID Connect Back-Channel Logout §2.6, RFC 8935 §2.4). An event that names no issuer belongs
to the issuer whose keys signed it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.authn.compact_jws import Unverified
from gateway.events.jws import EventError
from gateway.events.security_event import SecurityEvent
from gateway.events.transmitter import Transmitter
from gateway.introspection.invalidation import ClaimSelector
from gateway.provider.errors import ProviderError

_QUOTED_MAX_CHARS = 100


async def verified_transmitter(
    token: Unverified, event: SecurityEvent, transmitters: Iterable[Transmitter], authorization: Sequence[str]
) -> Transmitter | EventError:
    """The transmitter that sent it. Raises `ProviderError` when that cannot be told now.

    Two providers may have one issuer, as two clients of one Keycloak. The audience tells which of them is meant.
    """
    known = [transmitter for transmitter in transmitters if event.issuer in (None, transmitter.issuer)]
    if not known:
        return EventError("invalid_issuer", "the token is of an issuer that is not known here")
    meant = [transmitter for transmitter in known if not transmitter.audience.isdisjoint(event.audience)]
    if not meant:
        return await _misaddressed(token, event, known)
    admitted = [transmitter for transmitter in meant if transmitter.accepts(authorization)]
    if not admitted:
        return EventError("authentication_failed", "the Authorization header is not what was agreed on")
    return await _signer(token, admitted)


async def _signer(token: Unverified, transmitters: Sequence[Transmitter]) -> Transmitter | EventError:
    """The transmitter whose key has signed. Keys that cannot be fetched do not hide the key of another provider."""
    has_keys, failure = False, None
    for transmitter in transmitters:
        try:
            is_theirs = await transmitter.keys.has_signed(token.compact, token.algorithm, token.kid)
        except ProviderError as error:
            failure = failure or error
            continue
        if is_theirs:
            return transmitter
        has_keys = has_keys or is_theirs is False
    if failure is not None:
        raise failure
    if has_keys:
        return EventError("authentication_failed", "the signature is not one of the issuer's")
    return EventError(
        "invalid_key", "the token is not signed by a key of the issuer's, or with an algorithm not accepted"
    )


async def _misaddressed(token: Unverified, event: SecurityEvent, transmitters: Sequence[Transmitter]) -> EventError:
    """The refusal of an event for somebody else. If it is genuine, the hint says which key the configuration lacks."""
    description = "the token is meant for somebody else"
    try:
        signer = await _signer(token, transmitters)
    except ProviderError:
        return EventError("invalid_audience", description)
    if isinstance(signer, EventError):
        return EventError("invalid_audience", description)
    theirs = ", ".join(sorted(event.audience))[:_QUOTED_MAX_CHARS]
    ours = ", ".join(sorted(signer.audience))[:_QUOTED_MAX_CHARS]
    hint = (
        f"{description}: {signer.provider} signed it for [{theirs}], and none of these is in [{ours}]; "
        f"write the client under providers.{signer.provider}.events.audience"
    )
    return EventError("invalid_audience", description, hint)


def selectors_of(
    event: SecurityEvent, transmitter: Transmitter, transmitters: Iterable[Transmitter]
) -> tuple[ClaimSelector, ...] | EventError:
    """The selectors that a verified event invalidates; none for subjects that no provider here knows.

    Refuses subjects of another configured provider: a transmitter may speak only for its own.
    """
    foreign = {subject.issuer for subject in event.subjects if subject.issuer is not None} - transmitter.subject_issuers
    if any(issuer in other.subject_issuers for other in transmitters for issuer in foreign):
        return EventError("access_denied", "the subject is another issuer's")
    own = (subject for subject in event.subjects if subject.issuer not in foreign)
    return tuple(dict.fromkeys(ClaimSelector(transmitter.realm, subject.claim, subject.value) for subject in own))
