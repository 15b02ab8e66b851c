"""What can go wrong between the gateway and a provider.

    ProviderError             cannot tell: nothing came back that can be relied on
    +-- DeadlineError         no complete answer in time
    +-- UnreachableError      no connection: the name, the network, the port
    |   +-- UntrustedError    a connection, but not to a server whose certificate is trusted
    +-- ConnectionLostError   the connection broke before the answer was complete
    +-- UnusableAnswerError   an answer, but none to rely on: status, form, size, redirect, another issuer
    |   +-- FailingError      it says that it will not answer, whoever is asked about: 401, 403, 429, 5xx
    |   |   +-- OverloadedError   502, 503, 504: another attempt may go better
    |   +-- RejectedError     400: this one call is not to its taste, which says nothing of the next one
    +-- NotAskedError         no call was made: it fails and is left alone, or is not found yet
    |   +-- CrowdedError      the gateway's own queue turned the question away, which says nothing of the provider
    TokenRefused              a clear no of the token endpoint (RFC 6749 §5.2)

Cannot tell and no are apart on purpose: neither is a subclass of the other. The texts are for the operator; they
quote no token, no secret, and nothing of an answer but what a discovery document says of itself.
"""

from __future__ import annotations


class ProviderError(Exception):
    """`retry_after_s` is what the provider asked for with `Retry-After`, bounded; None where it did not."""

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_s = retry_after_s


class DeadlineError(ProviderError):
    pass


class UnreachableError(ProviderError):
    pass


class UntrustedError(UnreachableError):
    pass


class ConnectionLostError(ProviderError):
    pass


class UnusableAnswerError(ProviderError):
    pass


class FailingError(UnusableAnswerError):
    pass


class OverloadedError(FailingError):
    pass


class RejectedError(UnusableAnswerError):
    pass


class NotAskedError(ProviderError):
    pass


class CrowdedError(NotAskedError):
    pass


class TokenRefused(Exception):  # noqa: N818 - a refusal is an answer of the protocol, not a failure of ours
    """The error answer of a token endpoint: `error` is one of its codes, such as `invalid_grant`."""

    def __init__(self, error: str, error_description: str | None, status: int) -> None:
        super().__init__(f"{error}: {error_description}" if error_description else error)
        self.error = error
        self.error_description = error_description
        self.status = status
