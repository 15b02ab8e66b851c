"""Durations and sizes as others write them, and how this file writes the same value.

Go writes `1m30s`, Java `PT30S`, nginx `1d` and `10m`, others `5min`, `30 seconds`, `10MB`, or only a number.
"""

from __future__ import annotations

import re

_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,6})?"
_PART = re.compile(rf"({_NUMBER})\s*([a-zµ]{{0,12}})\s*")
_ISO = re.compile(r"p(?:t)?(?=[0-9])")  # ISO 8601, such as PT30S and P1D
_MS = {
    **dict.fromkeys(["ms", "msec", "msecs", "milli", "millis", "millisecond", "milliseconds"], 1),
    **dict.fromkeys(["", "s", "sec", "secs", "second", "seconds"], 1_000),
    **dict.fromkeys(["m", "min", "mins", "minute", "minutes"], 60_000),
    **dict.fromkeys(["h", "hr", "hrs", "hour", "hours"], 3_600_000),
    **dict.fromkeys(["d", "day", "days"], 86_400_000),
    **dict.fromkeys(["w", "week", "weeks"], 604_800_000),
}
_UNITS_MS = (("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))
_SIZE = re.compile(r"([0-9]{1,12})\s*(b|bytes?|[kmg](?:i?b)?|[kmg]i)")
_LONGEST_MS = 10**14


def meant_duration(value: object) -> str | None:
    """`90s` for `1m30s`; `None` where it cannot be told. A number alone is seconds."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = _ISO.sub("", str(value).strip().lower())
    parts = _PART.findall(text)
    if not parts or _PART.sub("", text) or any(unit not in _MS for _, unit in parts):
        return None
    if len(parts) > 1 and any(not unit for _, unit in parts):
        return None
    whole_ms = sum(float(number) * _MS[unit] for number, unit in parts)
    if whole_ms != int(whole_ms) or whole_ms > _LONGEST_MS:
        return None
    unit, unit_ms = next(((unit, ms) for unit, ms in _UNITS_MS if int(whole_ms) % ms == 0), ("ms", 1))
    return f"{int(whole_ms) // unit_ms}{unit}" if whole_ms else "0s"


def meant_size(value: object) -> str | None:
    """`10MiB` for `10MB`, `10m` and `10 mib`; `None` where it cannot be told."""
    match = _SIZE.fullmatch(value.strip().lower()) if isinstance(value, str) else None
    if match is None:
        return None
    unit = {"k": "KiB", "m": "MiB", "g": "GiB"}.get(match[2][0], "B")
    return f"{match[1]}{unit}"
