"""What every contestant has to show before it is measured: that it does its work."""

from __future__ import annotations

import http.client
from dataclasses import dataclass

from benchmarks.comparison.peer import Contestant
from benchmarks.comparison.stage import Stage, caller

GOOD = "good-SlAV32hkKG4hcF8QyzT9vBnJ5mWxR7dLp2QeYs0"
BAD = "bad-SlAV32hkKG4hcF8QyzT9vBnJ5mWxR7dLp2QeYs01"
_REQUESTS = 50
_NEW_CONNECTIONS_MAX = 3
_ASK_S = 10.0


class CheckError(Exception):
    """A contestant that does not do its work is not to be compared."""


@dataclass(frozen=True)
class Checked:
    """`keeps_backend_connections` is `None` where the backend does not count them."""

    refuses_bad_tokens: bool
    sends_identity: bool
    keeps_backend_connections: bool | None


def check(stage: Stage, contestant: Contestant) -> Checked:
    """Raises `CheckError` where it falls short of its kind."""
    checked = Checked(
        _refuses(contestant),
        _sends_identity(contestant),
        _keeps(stage, contestant) if stage.has_backend_counts else None,
    )
    wanted = contestant.kind.does_auth
    if (checked.refuses_bad_tokens, checked.sends_identity) != (wanted, wanted):
        raise CheckError(f"{contestant.name}: {checked}")
    if checked.keeps_backend_connections is False:
        raise CheckError(f"{contestant.name} opens new connections to the backend again and again")
    return checked


def _refuses(contestant: Contestant) -> bool:
    """No token, and a bad one."""
    statuses = [caller(contestant.port, token)[0] for token in (None, BAD, BAD)]
    return statuses == [http.client.UNAUTHORIZED] * 3


def _sends_identity(contestant: Contestant) -> bool:
    """The user of the token and nobody else, also on a hit, and with a forged header."""
    for forged in ({}, {"X_User_Id": "mallory"}):
        status, seen = caller(contestant.port, GOOD, **forged)
        if status != http.client.OK:
            raise CheckError(f"{contestant.name} answers {status} to a good token")
        if seen["user"] != f"u-{GOOD}":
            return False
    return True


def _keeps(stage: Stage, contestant: Contestant) -> bool:
    before = stage.backend_connections()
    connection = http.client.HTTPConnection("127.0.0.1", contestant.port, timeout=_ASK_S)
    try:
        for _ in range(_REQUESTS):
            connection.request("GET", "/", headers={"Authorization": f"Bearer {GOOD}"})
            connection.getresponse().read()
        return connection.sock is not None and stage.backend_connections() - before <= _NEW_CONNECTIONS_MAX
    finally:
        connection.close()
