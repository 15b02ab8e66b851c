import ssl

import pytest
import redis.exceptions
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)

from gateway.cache.redis_failure import redis_failure
from gateway.policy_reasons import REASON_MAX_CHARS


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimeoutError(), "does not answer in time; check host and port"),
        (
            AuthenticationError("invalid username-password pair"),
            "refuses the login (WRONGPASS invalid username-password pair);",
        ),
        (ResponseError("NOAUTH Authentication required."), "refuses the login (NOAUTH"),
        (AuthenticationError("Authentication required."), "refuses the login (NOAUTH Authentication required.);"),
        (NoPermissionError("no permissions to run the 'get' command"), "(NOPERM no permissions"),
        (redis.exceptions.TimeoutError("Timeout connecting to server"), "does not answer in time; check"),
        (NoPermissionError("no permissions to run the 'get' command"), "rights of deploy/redis/users.acl"),
        (ReadOnlyError("READONLY"), "replica, which takes no writes; write the primary's address"),
        (OutOfMemoryError("OOM"), "no memory left; set maxmemory-policy"),
        (
            ResponseError(
                "The user executing the script can't run this command or subcommand script: 0, on @user_script"
            ),
            "rights of deploy/redis/users.acl",
        ),
        (ResponseError("NOPERM"), "rights of deploy/redis/users.acl"),
        (ResponseError("LOADING"), "still reads its data after a start; it is used as soon as that is done (LOADING)"),
        (redis.exceptions.BusyLoadingError("Redis is loading the dataset in memory"), "still reads its data"),
        (ResponseError("MISCONF Redis is configured to save"), "cannot save to its disk; look at the disk's room"),
        (redis.exceptions.ConnectionError("max number of clients reached"), "raise its maxclients"),
        (ResponseError("WRONGTYPE"), "answers with an error (WRONGTYPE); see"),
        (
            redis.exceptions.ConnectionError("Error 111 connecting to a:1.\n"),
            "no connection (Error 111 connecting to a:1. ); check",
        ),
        (redis.exceptions.ConnectionError("x" * 300), "…"),
    ],
)
def test_what_redis_says_comes_with_what_to_do(error: Exception, words: str) -> None:
    assert words in redis_failure(error)


def because(cause: Exception) -> Exception:
    error = redis.exceptions.ConnectionError("Error 111 connecting to a:1.")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (ConnectionRefusedError(111, "Connect call failed"), "no connection (connection refused: Error 111"),
        (ssl.SSLCertVerificationError("self-signed"), "the certificate of it is not trusted: ("),
    ],
)
def test_the_first_cause_is_named(cause: Exception, words: str) -> None:
    assert words in redis_failure(because(cause))


@pytest.mark.parametrize(
    "kind", [ResponseError, AuthenticationError, NoPermissionError, redis.exceptions.ConnectionError]
)
def test_hostile_words_are_one_bounded_printable_line(kind: type[Exception]) -> None:
    words = redis_failure(kind("NOAUTH \x1b[31m\r\n\u202e" + "x" * 100_000))
    assert words.isprintable()
    assert len(words) < 2 * REASON_MAX_CHARS
