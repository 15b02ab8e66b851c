"""What came of a grant, and how long it counts. Nothing outlives the caller's facts, nor the token that was obtained.

    permission   yes or no, within the window of the facts that it was asked with
    exchange     to the end of the new token and of the caller's; without `expires_in` for 60 s at most
                 a refusal for `cache.inactive_ttl`
    client       to the end of the token

The tiers keep it as `Facts` of its own making: the token lies where a phantom token lies, in no claim.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.authn.borrowed_tags import BORROWED_TAGS
from gateway.authn.facts import Facts
from gateway.grants.grant_request import GrantRequest

# Without `expires_in` nobody knows how long a token is good (RFC 6749 §5.1).
UNSAID_LIFE_S = 60.0
# Longer than this nothing is kept without asking again, whatever a provider says: purges are remembered as long.
LIFE_MAX_S = 3600.0
# What must not be kept is still given to those who wait for it now.
_MOMENT_S = 0.05
# What lasts longer by less than this is not worth a call.
_WORTH_S = 1.0


@dataclass(frozen=True, slots=True)
class Granted:
    """Says yes. `token` is what was obtained, if it is one; it is good for `expires_in_s` and ends at `exp`."""

    token: str | None = field(default=None, repr=False)
    expires_in_s: float | None = None
    exp: float | None = None


@dataclass(frozen=True, slots=True)
class Denied:
    """Says no, with the provider's reason for the operator."""

    reason: str


Verdict = Granted | Denied


@dataclass(frozen=True, slots=True)
class Windows:
    """Holds `cache.ttl` and `cache.inactive_ttl`."""

    ttl_s: float
    inactive_s: float


def until(grant: GrantRequest, verdict: Verdict, asked_at: float, windows: Windows) -> float:
    """Until when the verdict counts, on the wall clock; `asked_at` is when the question went out."""
    facts = grant.facts
    ends = [asked_at + LIFE_MAX_S]
    if facts is not None and facts.exp is not None:
        ends.append(facts.exp)
    if grant.asked.kind == "permission":
        ends.append((asked_at if facts is None else facts.introspected_at) + windows.ttl_s)
    elif isinstance(verdict, Denied):
        ends.append(asked_at + windows.inactive_s)
    else:
        life_s = UNSAID_LIFE_S if verdict.expires_in_s is None else verdict.expires_in_s
        ends.append(asked_at + life_s)
        if verdict.exp is not None:
            ends.append(verdict.exp)
    return min(ends)


def as_facts(verdict: Verdict, asked_at: float, now: float, ends: float, tags: Iterable[bytes]) -> Facts:
    """The verdict as the tiers keep it, until `ends`. It is purged by `tags`, those of the caller's facts."""
    claims = {
        "granted": isinstance(verdict, Granted),
        "reason": verdict.reason if isinstance(verdict, Denied) else "",
        BORROWED_TAGS: [tag.hex() for tag in tags],
    }
    token = verdict.token if isinstance(verdict, Granted) else None
    return Facts(claims, asked_at, max(ends, now + _MOMENT_S), phantom=token)


def from_facts(facts: Facts) -> Verdict:
    """The inverse of `as_facts`, as far as the verdict goes."""
    if facts.claims.get("granted") is True:
        return Granted(facts.phantom, exp=facts.exp)
    return Denied(str(facts.claims.get("reason", "")))


def is_due(kept: Facts, grant: GrantRequest, windows: Windows, fraction: float, now: float) -> bool:
    """Whether a yes should be renewed before its end: late in its life, if a new one can last longer."""
    if kept.exp is None or kept.claims.get("granted") is not True:
        return False
    if now < kept.introspected_at + fraction * (kept.exp - kept.introspected_at):
        return False
    return until(grant, Granted(expires_in_s=LIFE_MAX_S), now, windows) > kept.exp + _WORTH_S
