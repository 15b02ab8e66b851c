"""What a reply that was not wanted says about Redis: whether to stay away for a moment, and what the operator hears."""

import pytest
from redis.exceptions import NoPermissionError, OutOfMemoryError, ReadOnlyError

from gateway.cache.auto_pipeline import NotSentError
from gateway.cache.operation_guard import OperationGuard
from gateway.cache.resp import ErrorReply


@pytest.mark.parametrize(
    ("outcome", "is_away", "told"),
    [
        ([ErrorReply("WRONGTYPE"), None], False, ["WRONGTYPE"]),
        ([5, ErrorReply("OOM")], False, ["OOM"]),
        ([ErrorReply("NOPERM")], False, ["NOPERM"]),
        ([ErrorReply("LOADING")], True, ["LOADING"]),
        ([ErrorReply("LOADING"), ErrorReply("LOADING")], True, ["LOADING"]),
        ([ErrorReply("MASTERDOWN")], True, ["MASTERDOWN"]),
        ([ErrorReply("NOAUTH")], True, ["NOAUTH"]),
        (["nonsense"], True, []),
        ([[1, 2, 3]], True, []),
        ([], True, []),
        (ConnectionError("lost"), True, ["lost"]),
        (TimeoutError(), True, [""]),
        (NotSentError(), False, []),
    ],
)
def test_what_a_reply_that_was_not_wanted_says_about_redis(outcome, is_away, told) -> None:
    heard = []
    guard = OperationGuard(
        lambda: True, lambda: 1000.0, timeout_s=1, at_a_time=1, on_failure=lambda error, _: heard.append(str(error))
    )
    guard.unwanted(outcome)
    assert (guard.is_backing_off, heard) == (is_away, told)


@pytest.mark.parametrize(
    ("code", "kind"), [("NOPERM", NoPermissionError), ("OOM", OutOfMemoryError), ("READONLY", ReadOnlyError)]
)
def test_a_refusal_is_the_error_that_says_what_to_do(code, kind) -> None:
    heard = []
    guard = OperationGuard(
        lambda: True, lambda: 1000.0, timeout_s=1, at_a_time=1, on_failure=lambda error, _: heard.append(error)
    )
    guard.unwanted([ErrorReply(code)])
    assert [type(error) for error in heard] == [kind]
