"""The address of a server that requests are sent to, as the rules of the wire know it."""

from __future__ import annotations

from dataclasses import dataclass, field

DEFAULT_PORT = {"http": 80, "https": 443}
UNIX = "unix"


@dataclass(frozen=True, slots=True)
class Backend:
    """One server of a route. `path` is put before the forwarded path; it has no trailing slash.

    The scheme of a Unix socket is `unix`, and its host the path of the socket.
    """

    scheme: str
    host: str
    port: int
    path: str = ""
    place: tuple[str, str, int] = field(init=False, repr=False, compare=False)  # what a connection to it is opened by
    authority: str = field(init=False, repr=False, compare=False)  # the `Host` to send

    def __post_init__(self) -> None:
        object.__setattr__(self, "place", (self.scheme, self.host, self.port))
        object.__setattr__(self, "authority", self._authority())

    def _authority(self) -> str:
        """Without the port where it is the scheme's own (RFC 9110 §4.2.3)."""
        if self.scheme == UNIX:
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORT[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        if self.scheme == UNIX:
            return f"unix:{self.host}" + (f":{self.path}" if self.path else "")
        return f"{self.scheme}://{self.authority}{self.path}"
