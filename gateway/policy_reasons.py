"""Explains refusals: the demands of the route and the facts of the token. Only the log and `explain` show this.

A text is made only when a request is refused. It is one printable line of at most `REASON_MAX_CHARS` characters. It
shows claims and the route's demands, and never a token.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

REASON_MAX_CHARS = 200
_VALUE_MAX_CHARS = 80
_SHOWN_MAX = 8
_TIME_MAX_S = 253_402_300_799  # 9999-12-31
_OTHER_TYPE = re.compile(r"true|false|null|-?[0-9.]*|[\[{].*", re.DOTALL)


def cut_reason(text: str) -> str:
    """`text` as one printable line of at most `REASON_MAX_CHARS`."""
    line = "".join(character if character.isprintable() else " " for character in text)
    return line if len(line) <= REASON_MAX_CHARS else line[: REASON_MAX_CHARS - 1] + "…"


def has_ended(exp: float, now: float) -> str:
    return cut_reason(f"exp is {exp:.0f}, {now - exp:.0f} s ago by this clock")


def is_ahead(nbf: float, now: float, leeway_s: float) -> str:
    allowed = f", and {leeway_s:g} s of leeway are allowed" if leeway_s else "; see leeway of the provider"
    return cut_reason(f"nbf is {nbf:.0f}, {nbf - now:.1f} s ahead of this clock{allowed}")


def wrong_issuer(claims: Any, wanted: str | None) -> str:
    if "iss" not in claims:
        return cut_reason(f"there is no iss, {wanted} wanted")
    wants = "a text wanted" if wanted is None else f"{wanted} wanted"
    return cut_reason(f"iss is {shown(claims['iss'])}, {wants}")


def wrong_audience(claims: Any, wanted: Iterable[str]) -> str:
    wants = f"one of {_listed(sorted(wanted))} wanted" if wanted else "a text or a list of texts wanted"
    if "aud" not in claims:
        return cut_reason(f"there is no aud, {wants}")
    return cut_reason(f"aud is {shown(claims['aud'], as_list=True)}, {wants}")


def missing_scope(present: Iterable[str], wanted: Iterable[str], *, is_any: bool) -> str:
    quantity = "one" if is_any else "all"
    return cut_reason(f"scope is {_listed(sorted(present))}, {quantity} of {_listed(sorted(wanted))} wanted")


def missing_roles(present: Iterable[str], missing: Sequence[str], wanted: Sequence[str]) -> str:
    return cut_reason(f"roles are {_listed(present)}, {_listed(missing)} missing of {_listed(wanted)} wanted")


def missing_groups(present: Iterable[str], missing: Sequence[str]) -> str:
    return cut_reason(f"groups are {_listed(present)}, {_listed(missing)} wanted too")


def missing_details(present: Sequence[Any], wanted: Any) -> str:
    return cut_reason(f"{_plain(wanted)} wanted, authorization_details is {_plain(present)}")


def wrong_acr(value: Any, wanted: Iterable[str]) -> str:
    has = "there is no acr" if value is None else f"acr is {shown(value)}"
    return cut_reason(f"{has}, one of {_listed(wanted)} wanted")


def signed_in_long_ago(auth_time: Any, max_age_s: float, now: float) -> str:
    if isinstance(auth_time, bool) or not isinstance(auth_time, int | float):
        has = "there is no auth_time" if auth_time is None else f"auth_time is {shown(auth_time)}"
        return cut_reason(f"{has}, a sign-in at most {max_age_s:g} s ago wanted")
    if abs(auth_time) > _TIME_MAX_S:
        return cut_reason(f"auth_time is {str(auth_time)[:_VALUE_MAX_CHARS]}, which is not a time in seconds")
    if auth_time > now:
        return cut_reason(f"auth_time is {auth_time - now:.0f} s ahead of this clock")
    return cut_reason(f"auth_time is {now - auth_time:.0f} s ago, at most {max_age_s:g} s wanted")


def wrong_claim(path: Sequence[str], value: Any, accepted: Sequence[Any]) -> str:
    name = ".".join(path)
    wants = f"one of {_listed(map(_plain, accepted))} wanted"
    return cut_reason(f"there is no {name}, {wants}" if value is None else f"{name} is {shown(value)}, {wants}")


def shown(value: Any, *, as_list: bool = False) -> str:
    """A claim's value; a long one is cut."""
    if isinstance(value, list):
        return _listed(map(_plain, value))
    return f"[{_plain(value)}]" if as_list else _plain(value)


def _plain(value: Any) -> str:
    # A text that reads like another type is quoted: `"true"` is not `true`.
    text = value if isinstance(value, str) and not _OTHER_TYPE.fullmatch(value) else json.dumps(value, default=str)
    return text if len(text) <= _VALUE_MAX_CHARS else text[: _VALUE_MAX_CHARS - 1] + "…"


def _listed(values: Iterable[str]) -> str:
    texts = list(values)
    more = f", … {len(texts)} in all" if len(texts) > _SHOWN_MAX else ""
    return f"[{', '.join(texts[:_SHOWN_MAX])}{more}]"
