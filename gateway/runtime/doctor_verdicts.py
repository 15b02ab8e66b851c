"""What `gateway doctor` says of what its probes have found: one line each, and what to do where something is wrong.

Pure: it is given what was found and the clocks, and asks nobody. No line shows a secret or a token.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from gateway.provider.errors import (
    ConnectionLostError,
    DeadlineError,
    FailingError,
    ProviderError,
    UnreachableError,
)

Grade = Literal["ok", "warning", "FAIL"]

CLOCKS_APART_S = 5.0
_SOON_S = 14 * 86400.0


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One line of the doctor: what was tried, and what came of it."""

    grade: Grade
    subject: str
    words: str

    def render(self) -> str:
        return f"{self.grade:<7} {self.subject}: {self.words}"


def certificate_diagnosis(subject: str, ends_s: float, now_s: float) -> Diagnosis:
    """A certificate that ends within 14 days is a warning. Both times are seconds since the epoch."""
    end = datetime.fromtimestamp(ends_s, UTC).strftime("%Y-%m-%d")
    if ends_s <= now_s:
        return Diagnosis("FAIL", subject, f"the certificate ended on {end}; put a new one in its place")
    if ends_s - now_s <= _SOON_S:
        return Diagnosis("warning", subject, f"the certificate ends on {end}; renew it")
    return Diagnosis("ok", subject, f"the certificate ends on {end}")


def clock_diagnosis(subject: str, ahead_s: float) -> Diagnosis:
    """`ahead_s`: how far the other clock is ahead of ours, below zero for behind."""
    if abs(ahead_s) < CLOCKS_APART_S:
        return Diagnosis("ok", subject, f"in step with ours within {CLOCKS_APART_S:g} s")
    side = "ahead of" if ahead_s > 0 else "behind"
    return Diagnosis("warning", subject, f"{abs(ahead_s):.0f} s {side} ours; let NTP set the clocks of both machines")


def ahead_by_date_s(date_s: float, sent_s: float, received_s: float) -> float:
    """How far a clock is ahead that wrote `date_s` in whole seconds between `sent_s` and `received_s` of ours.

    The date hides up to a second. Of the two ends the one that is further away counts.
    """
    ours_s = (sent_s + received_s) / 2
    return max(date_s - ours_s, date_s + 1 - ours_s, key=abs)


def discovery_failure(error: ProviderError, url: str) -> str:
    """Why discovery failed at `url`, and what to do."""
    if "; " in error.reason:
        return f"{error.reason} ({url})"
    if isinstance(error, UnreachableError | ConnectionLostError | DeadlineError):
        return f"{error.reason}; see that {url} can be reached from here, and that issuer is right"
    if isinstance(error, FailingError):
        return f"{error.reason}; see what ails the provider ({url})"
    return f"{error.reason}; check issuer, its realm and its path: {url} is asked"


def meaning_of(words: str) -> str:
    """What a provider means that words several faults alike; empty where its words are clear.

    Keycloak tells nobody which clients it has. The administrator sees which of the three it is.
    """
    if "Invalid client or Invalid client credentials" not in words:
        return ""
    return ", which is what Keycloak says of a wrong secret, of an unknown client_id and of a client that is disabled"


def introspection_failure(error: ProviderError, told_of_client: str | None) -> str:
    """Why a random token got no clear answer. `told_of_client`: what the token endpoint says of our credentials."""
    told = "" if told_of_client is None else f". {told_of_client}"
    if "; " in error.reason:
        return error.reason + told
    if isinstance(error, UnreachableError | ConnectionLostError | DeadlineError):
        return f"{error.reason}; see that the introspection endpoint can be reached from here, and timeout{told}"
    return f"{error.reason}; check introspection_endpoint, and see what ails the provider{told}"
