"""A contestant: a proxy in front of the backend, and what can be asked of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from benchmarks.comparison.server import Server


class Kind(Enum):
    """What is compared; the value is its name in the tables."""

    FAST = "gateway, fast lane"
    COMPILED = "gateway, fast lane, compiled"
    GENERAL = "gateway, general lane"
    NGINX_AUTH = "nginx auth_request"
    RESTY = "nginx lua-resty-openidc"
    APACHE = "Apache mod_auth_openidc"
    OATHKEEPER = "Oathkeeper"
    ENVOY = "Envoy, no auth"
    NGINX = "nginx, no auth"

    @property
    def does_auth(self) -> bool:
        return self not in {Kind.ENVOY, Kind.NGINX}

    @property
    def is_ours(self) -> bool:
        return self in {Kind.FAST, Kind.COMPILED, Kind.GENERAL}


@dataclass(frozen=True)
class Contestant:
    kind: Kind
    server: Server
    version: str

    @property
    def name(self) -> str:
        return self.kind.value

    @property
    def port(self) -> int:
        return self.server.port


class NotInstalledError(Exception):
    """What is missing, in words."""
