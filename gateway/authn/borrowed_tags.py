"""Tags that a result has from another one, with which it is purged: what was obtained for a caller, by its facts.

They lie in a claim of the gateway's own making. A provider that sends a claim of this name only makes its facts be
forgotten sooner: such tags come on top of others.
"""

from __future__ import annotations

from gateway.authn.facts import Claims

BORROWED_TAGS = "gateway: purged with"
_TAGS_MAX = 64


def borrowed_tags(claims: Claims) -> tuple[bytes, ...]:
    """The tags in `claims`; none where there are no such, and no error whatever a provider has put there."""
    tags = claims.get(BORROWED_TAGS)
    if not isinstance(tags, list):
        return ()
    try:
        return tuple(bytes.fromhex(tag) for tag in tags[:_TAGS_MAX])
    except (TypeError, ValueError):
        return ()
