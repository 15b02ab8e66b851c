"""Whether an event comes from whom it names: a configured issuer, for us, by a signature of theirs.

The issuer's word decides who is asked for keys, and nothing before the signature was verified. Keys of one issuer
never count for another (OpenID Connect Back-Channel Logout §2.6, RFC 8935 §2.4). Where an event names no issuer, the
keys that signed it do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.events.jws import EventError, Unverified
from gateway.events.security_event import SecurityEvent
from gateway.events.transmitter import Transmitter
from gateway.introspection.invalidation import ClaimSelector
from gateway.provider.errors import ProviderError

_QUOTED_MAX_CHARS = 100


async def verified_transmitter(
    token: Unverified, notice: SecurityEvent, senders: Iterable[Transmitter], authorization: Sequence[str]
) -> Transmitter | EventError:
    """Who sent it. Raises `ProviderError` when that cannot be told now.

    Two providers may have one issuer, as two clients of one Keycloak: the one that the event is for counts.
    """
    known = [sender for sender in senders if notice.issuer in (None, sender.issuer)]
    if not known:
        return EventError("invalid_issuer", "the token is of an issuer that is not known here")
    meant = [sender for sender in known if not sender.audience.isdisjoint(notice.audience)]
    if not meant:
        return await _misaddressed(token, notice, known)
    admitted = [sender for sender in meant if sender.admits(authorization)]
    if not admitted:
        return EventError("authentication_failed", "the Authorization header is not what was agreed on")
    return await _signer(token, admitted)


async def _signer(token: Unverified, senders: Sequence[Transmitter]) -> Transmitter | EventError:
    """One provider whose keys cannot be fetched does not keep another from being recognised."""
    has_keys, failure = False, None
    for sender in senders:
        try:
            is_theirs = await sender.keys.has_signed(token.compact, token.algorithm, token.kid)
        except ProviderError as error:
            failure = failure or error
            continue
        if is_theirs:
            return sender
        has_keys = has_keys or is_theirs is False
    if failure is not None:
        raise failure
    if has_keys:
        return EventError("authentication_failed", "the signature is none of the issuer's")
    return EventError(
        "invalid_key", "the token is not signed by a key of the issuer's, or with an algorithm not accepted"
    )


async def _misaddressed(token: Unverified, notice: SecurityEvent, senders: Sequence[Transmitter]) -> EventError:
    """Refused in any case. For what is genuine the log says which key of the configuration was forgotten."""
    description = "the token is meant for somebody else"
    try:
        signer = await _signer(token, senders)
    except ProviderError:
        return EventError("invalid_audience", description)
    if isinstance(signer, EventError):
        return EventError("invalid_audience", description)
    theirs = ", ".join(sorted(notice.audience))[:_QUOTED_MAX_CHARS]
    ours = ", ".join(sorted(signer.audience))[:_QUOTED_MAX_CHARS]
    hint = (
        f"{description}: {signer.provider} signed it for [{theirs}], of which none is in [{ours}]; "
        f"write the client under providers.{signer.provider}.events.audience"
    )
    return EventError("invalid_audience", description, hint)


def named_by(
    notice: SecurityEvent, sender: Transmitter, senders: Iterable[Transmitter]
) -> tuple[ClaimSelector, ...] | EventError:
    """What is to be evicted for a verified event; nothing for subjects that nobody here has tokens of.

    Refused for the subjects of another configured provider: a transmitter speaks for its own.
    """
    foreign = {aim.issuer for aim in notice.aims if aim.issuer is not None} - sender.subject_issuers
    if any(issuer in other.subject_issuers for other in senders for issuer in foreign):
        return EventError("access_denied", "the subject is another issuer's")
    own = (aim for aim in notice.aims if aim.issuer not in foreign)
    return tuple(dict.fromkeys(ClaimSelector(sender.realm, aim.kind, aim.value) for aim in own))
