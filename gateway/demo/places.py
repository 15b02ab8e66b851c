"""The addresses of the demo's parts: four ports of 127.0.0.1, the usual ones or counted from a base."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.config.values import Address
from gateway.workers.sockets import BindError, bind, unbind

HOST = "127.0.0.1"
_PORTS = ("gateway", "admin", "provider", "backend")


@dataclass(frozen=True, slots=True)
class Places:
    """Holds the ports. URLs name the address: `localhost` may be `::1` for one program and not for another."""

    gateway: int = 8080
    admin: int = 9090
    provider: int = 8081
    backend: int = 8082
    proxy: str | None = None  # what has the gateway's port, and asks the gateway

    @property
    def gateway_url(self) -> str:
        return f"http://{HOST}:{self.gateway}"

    @property
    def admin_url(self) -> str:
        return f"http://{HOST}:{self.admin}"

    @property
    def provider_url(self) -> str:
        return f"http://{HOST}:{self.provider}"

    @property
    def backend_url(self) -> str:
        return f"http://{HOST}:{self.backend}"


def places_from(base: int | None, proxy: str | None = None) -> Places:
    """The usual ports, or with a base N the ports N, N+1, N+2 and N+3, in the order of the fields."""
    return Places(proxy=proxy) if base is None else Places(base, base + 1, base + 2, base + 3, proxy)


def check_free(places: Places) -> None:
    """Raise `BindError`, which names each port that is not free, before anything is started."""
    reasons = []
    for name in _PORTS:
        try:
            unbind(bind(Address(HOST, getattr(places, name))))
        except BindError as error:
            reasons.append(f"{name}: {error}")
    if reasons:
        wanted = "; ".join(reasons)
        raise BindError(f"{wanted}. With --port-base N the demo takes the ports N, N+1, N+2 and N+3 instead")
