"""Backends of a route, as the configuration names them; see `gateway.config.model`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import Field, model_validator

from gateway.config.model_base import Model
from gateway.config.problems import Loc, WrongAt
from gateway.config.value_types import BackendUrl, Count, FilePath, HealthPath, Percent, Seconds, ServerName
from gateway.http.backend import Backend, TlsFiles

WEIGHT_MAX = 1000


class ClientTls(Model):
    """TLS towards a server that the gateway calls: what it believes, and what it shows of itself."""

    ca: FilePath | None = None
    """PEM file of the only authorities whose certificates are believed. Default: those of the system."""

    certificate: FilePath | None = None
    """PEM file: the gateway's own certificate, where the server asks for one. Default none."""

    key: FilePath | None = None
    """PEM file: the private key of that certificate, without a passphrase. Needed with it."""

    server_name: ServerName | None = None
    """The name that is asked for and that the certificate must have. Default: the host of the URL."""

    @model_validator(mode="after")
    def _certificate_has_its_key(self) -> ClientTls:
        for given, lacking in (("certificate", "key"), ("key", "certificate")):
            if getattr(self, given) is not None and getattr(self, lacking) is None:
                raise WrongAt([((given,), f"the {lacking} that belongs to it is missing; write {lacking}: as well")])
        return self

    @property
    def files(self) -> TlsFiles:
        return TlsFiles(self.ca, self.certificate, self.key, self.server_name)


class BackendSettings(Model):
    """One of a route's backends."""

    url: BackendUrl
    """http(s)://host[:port][/prefix] or unix:/socket[:/prefix]."""

    weight: Annotated[Count, Field(ge=1, le=WEIGHT_MAX)] = 1
    """Its share of the requests beside those of the others. Default 1; 1 to 1000."""

    tls: ClientTls | None = None
    """For https: own authorities, a client certificate, another name. Default: the system's authorities."""

    @model_validator(mode="after")
    def _tls_is_for_https(self) -> BackendSettings:
        if self.tls is not None and self.url.scheme != "https":
            where: Loc = ("tls",)
            raise WrongAt([(where, f"{self.url} is spoken to without TLS; write an https:// URL, or leave tls out")])
        return self

    @property
    def backend(self) -> Backend:
        return self.url if self.tls is None else replace(self.url, tls=self.tls.files)

    def __str__(self) -> str:
        return str(self.url)


class OutlierSettings(Model):
    """When a backend that fails requests is passed over, and for how long. The only backend never is."""

    failures: Annotated[Count, Field(ge=1)] = 3
    """After so many in a row: connections that are not made, answers that never begin. Any answer ends the row.
    Default 3."""

    eject: Annotated[Seconds, Field(gt=0)] = 10.0
    """How long it is passed over before one request tries it again. Default 10s; more than 0."""

    max_ejected: Annotated[Percent, Field(ge=1, le=100)] = 100
    """How many of the route's backends may be out at a time. Default 100%; when all are out, all are tried."""


class HealthSettings(Model):
    """What each backend is asked in the background, by one worker for the instance."""

    path: HealthPath
    """GET of this path on the backend's authority, without the prefix of its URL; 2xx is well."""

    interval: Annotated[Seconds, Field(gt=0)] = 5.0
    """Between two questions to one backend. Default 5s; more than 0."""

    timeout: Annotated[Seconds, Field(gt=0)] = 1.0
    """For all of it, connecting included. Default 1s; more than 0."""

    healthy_after: Annotated[Count, Field(ge=1)] = 2
    """So many good answers in a row bring it back. Default 2."""

    unhealthy_after: Annotated[Count, Field(ge=1)] = 3
    """So many others in a row take it out; until then it counts as well. Default 3."""
