"""Says what is wrong with an instance, worst first, and where to look: what somebody at three in the morning needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

_DAY_S = 86_400.0
_CERTIFICATE_SOON_S = 14 * _DAY_S


@dataclass(frozen=True, slots=True)
class Alarm:
    """`wrong`: callers notice. `warning`: they will, or the instance works with less than it should."""

    level: Literal["wrong", "warning"]
    what: str
    why: str = ""

    def as_json(self) -> dict[str, str]:
        return {"level": self.level, "what": self.what, "why": self.why}


def alarms(status: Mapping[str, Any]) -> list[Alarm]:
    """The alarms of a status document (`gateway.admin.status`)."""
    found = [*_of_readiness(status), *_of_providers(status), *_of_routes(status), *_of_certificates(status)]
    found += [*_of_cache(status), *_of_workers(status), *_of_configuration(status)]
    return sorted(found, key=lambda alarm: alarm.level != "wrong")


def _of_readiness(status: Mapping[str, Any]) -> Iterator[Alarm]:
    if not status["ready"]:
        yield Alarm("wrong", "this instance is not ready", "; ".join(status["reasons"]))


def _of_providers(status: Mapping[str, Any]) -> Iterator[Alarm]:
    for one in status["providers"]:
        name, why = one["name"], one["reason"]
        if one["discovery"] != "ready":
            yield Alarm("wrong", f"provider {name} has not been discovered", why)
        elif one["breaker"] == "open":
            yield Alarm("wrong", f"provider {name} is not asked: its breaker is open", why)
        elif one["breaker"] == "half_open":
            yield Alarm("warning", f"provider {name} is tried again after an outage", why)
        elif why:
            yield Alarm("warning", f"provider {name}: the last question failed", why)


def _of_routes(status: Mapping[str, Any]) -> Iterator[Alarm]:
    for route in status["routes"]:
        down = [one["backend"] for one in route["backends"] if not one["up"]]
        if down and len(down) == len(route["backends"]):
            yield Alarm("wrong", f"route {route['name']}: no backend answers", ", ".join(down))
        elif down:
            yield Alarm("warning", f"route {route['name']}: a backend is out", ", ".join(down))


def _of_certificates(status: Mapping[str, Any]) -> Iterator[Alarm]:
    for one in status["certificates"]:
        left_s = one["ends_at"] - status["now"]
        day = f"{datetime.fromtimestamp(one['ends_at'], UTC):%Y-%m-%d}"
        if left_s <= 0:
            yield Alarm("wrong", f"the certificate of {one['where']} has ended", f"on {day}")
        elif left_s <= _CERTIFICATE_SOON_S:
            days = int(left_s / _DAY_S)
            yield Alarm("warning", f"the certificate of {one['where']} ends in {days} days", f"on {day}")


def _of_cache(status: Mapping[str, Any]) -> Iterator[Alarm]:
    cache = status["cache"]
    if cache["redis"] == "away":
        yield Alarm("warning", "Redis is away: nothing is shared with the fleet", cache["redis_reason"])


def _of_workers(status: Mapping[str, Any]) -> Iterator[Alarm]:
    workers = status["workers"]
    if workers["serving"] < workers["wanted"]:
        what = f"{workers['serving']} of {workers['wanted']} workers serve"
        yield Alarm("warning" if workers["serving"] else "wrong", what, "the log says why, by worker_ended")


def _of_configuration(status: Mapping[str, Any]) -> Iterator[Alarm]:
    failure = status["configuration"]["reload_failure"]
    if failure is not None:
        yield Alarm("warning", "the last reload was refused; the one before it is in force", failure["reason"])
