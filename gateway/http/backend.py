"""The address of a backend, as the rules of the wire use it."""

from __future__ import annotations

from dataclasses import dataclass, field

DEFAULT_PORT = {"http": 80, "https": 443}
UNIX = "unix"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Paths of PEM files: the authorities that are believed, and what the gateway shows; and another name to ask for.

    Connections are pooled by it, so that none that shows one certificate is used in the name of another.
    """

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    server_name: str | None = None


Place = tuple[str, str, int, TlsFiles | None]  # scheme, host or path of a Unix socket, port, TLS of its own


@dataclass(frozen=True, slots=True)
class Backend:
    """One server of a route. `path` is put before the forwarded path; it has no trailing slash.

    The scheme of a Unix socket is `unix`, and its host the path of the socket.
    """

    scheme: str
    host: str
    port: int
    path: str = ""
    tls: TlsFiles | None = None  # None: what the system believes
    place: Place = field(init=False, repr=False, compare=False)  # what a connection to it is opened by
    authority: str = field(init=False, repr=False, compare=False)  # the `Host` to send

    def __post_init__(self) -> None:
        object.__setattr__(self, "place", (self.scheme, self.host, self.port, self.tls))
        object.__setattr__(self, "authority", self._authority())

    def _authority(self) -> str:
        """Without the port where it is the scheme's own (RFC 9110 §4.2.3)."""
        if self.scheme == UNIX:
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORT[self.scheme] else f"{host}:{self.port}"

    @property
    def label(self) -> str:
        """Its name in metrics and logs: always with the port, never with the path."""
        if self.scheme == UNIX:
            return f"unix:{self.host}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def __str__(self) -> str:
        if self.scheme == UNIX:
            return f"unix:{self.host}" + (f":{self.path}" if self.path else "")
        return f"{self.scheme}://{self.authority}{self.path}"
