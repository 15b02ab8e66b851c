"""What a comparison runs on: backend, provider, Redis and the contestants; started, proven to work, stopped again."""

from __future__ import annotations

import http.client
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import trustme
from benchmarks.comparison import apache, envoy, nginx, oathkeeper, ours, resty, stand_in
from benchmarks.comparison.cores import Cores
from benchmarks.comparison.peer import Contestant, Kind, NotInstalledError
from benchmarks.comparison.place import Place, port
from benchmarks.comparison.server import Server
from support.redis_server import RedisServer

READY_WITHIN_S = 60.0
_POLL_S = 0.05
_ASK_S = 10.0

MAKERS: dict[Kind, Callable[[Place], Contestant]] = {
    Kind.FAST: ours.fast,
    Kind.COMPILED: ours.compiled,
    Kind.GENERAL: ours.general,
    Kind.NGINX_AUTH: nginx.auth,
    Kind.RESTY: resty.auth,
    Kind.APACHE: apache.auth,
    Kind.OATHKEEPER: oathkeeper.auth,
    Kind.ENVOY: envoy.plain,
    Kind.NGINX: nginx.plain,
}


@dataclass
class Stage:
    """`absent` says of each kind that could not be made what is missing."""

    place: Place
    has_backend_counts: bool
    absent: dict[Kind, str] = field(default_factory=dict)
    _folders: int = 0

    @contextmanager
    def contestants(
        self,
        kinds: Sequence[Kind] = tuple(Kind),
        *,
        redis: bool = False,
        provider_tls: bool = True,
        routes: int = 0,
        has_cors: bool = False,
        has_credentials: bool = False,
        workers: int = 1,
    ) -> Iterator[list[Contestant]]:
        """Fresh ones, serving, in the order of `kinds`; those that are not installed are left out.

        They share their answers where `redis` is there. Without `provider_tls` they all ask without TLS, also those
        that would not by themselves. The rest is as in `Place`.
        """
        place = replace(
            self.place,
            redis_port=self.place.redis_port if redis else 0,
            provider_tls_port=self.place.provider_tls_port if provider_tls else 0,
            routes=routes,
            has_cors=has_cors,
            has_credentials=has_credentials,
            workers=workers,
        )
        with ExitStack() as stack:
            found = []
            for kind in kinds:
                try:
                    contestant = MAKERS[kind](self._own(place, kind))
                except NotInstalledError as error:
                    self.absent[kind] = str(error)
                    continue
                stack.callback(contestant.server.stop)
                contestant.server.start()
                found.append(contestant)
            for contestant in found:
                await_answers(contestant.server)
            yield found

    def introspections(self) -> int:
        """How many the provider has been asked for."""
        return int(ask(self.place.provider_port, "/count")[1])

    def backend_connections(self) -> int:
        """How many the backend has accepted, this one included."""
        return int(ask(self.place.backend_port, "/accepted")[1].split(b"\n")[2].split()[0])

    def _own(self, place: Place, kind: Kind) -> Place:
        self._folders += 1
        return place.below(f"{kind.name.lower()}-{self._folders}")


@contextmanager
def staged(folder: Path, cores: Cores) -> Iterator[Stage]:
    """Without nginx the provider plays the backend too: enough to try things out, too slow to compare them."""
    with ExitStack() as stack:
        place = Place(folder, cores)
        tls_port = port()
        provider = _up(stack, _provider(place, port(), tls_port))
        try:
            backend = _up(stack, nginx.backend(place.below("backend")))
        except NotInstalledError:
            backend = None
        redis = RedisServer()
        stack.callback(redis.stop)
        redis.start()
        whole = replace(
            place,
            backend_port=(backend or provider).port,
            provider_port=provider.port,
            provider_tls_port=tls_port,
            redis_port=redis.port,
        )
        yield Stage(whole, has_backend_counts=backend is not None)


def ask(on: int, target: str, token: str | None = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", on, timeout=_ASK_S)
    try:
        sent = {**(headers or {}), **({} if token is None else {"Authorization": f"Bearer {token}"})}
        connection.request("GET", target, headers=sent)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def caller(on: int, token: str | None, **headers: str) -> tuple[int, dict[str, str]]:
    """The status, and whom the backend saw where it answered: `user` and `authorization`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    status, body = ask(on, "/whoami", token, named)
    return status, json.loads(body) if status == http.HTTPStatus.OK else {}


def await_answers(server: Server) -> None:
    """Return once it answers at all, whatever it says; raise `RuntimeError` once it has ended or takes too long."""
    deadline = time.monotonic() + READY_WITHIN_S
    while True:
        server.check_alive()
        try:
            ask(server.port, "/whoami")
        except (OSError, http.client.HTTPException):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{server.name} does not answer") from None
            time.sleep(_POLL_S)
        else:
            return


def _provider(place: Place, on: int, tls_on: int) -> Server:
    file = place.folder / "provider.pem"
    trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(file))
    script = Path(stand_in.__file__).resolve()
    return place.helper("provider", [sys.executable, str(script), str(on), str(tls_on), str(file)], on)


def _up(stack: ExitStack, server: Server) -> Server:
    stack.callback(server.stop)
    server.start()
    await_answers(server)
    return server
