"""The errors between the gateway and a provider.

    ProviderError             cannot tell: no response came that can be relied on
    +-- DeadlineError         no complete response in time
    +-- UnreachableError      no connection: the name, the network, the port
    |   +-- UntrustedError    a connection, but not to a server whose certificate is trusted
    +-- ConnectionLostError   the connection broke before the response was complete
    +-- UnusableAnswerError   a response that cannot be relied on: status, form, size, redirect, issuer
    |   +-- FailingError      the provider refuses or fails whatever the token: 401, 403, 429, 5xx
    |   |   +-- OverloadedError   502, 503, 504: another attempt may go better
    |   +-- RejectedError     400: it rejects this one call, which says nothing of the next one
    +-- NotAskedError         no call was made: the breaker is open, or the endpoint is not found yet
    |   +-- CrowdedError      the gateway's own queue is full, which says nothing of the provider
    TokenRefused              a clear no of the token endpoint (RFC 6749 §5.2)

"Cannot tell" and "no" are apart on purpose: neither is a subclass of the other. The texts are for the operator. They
quote no token, no secret, and nothing of a response except the issuer that a discovery document names.
"""

from __future__ import annotations


class ProviderError(Exception):
    """No response can be relied on. `retry_after_s` is the provider's `Retry-After`, bounded, or `None`."""

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


class UnusableResponseError(ProviderError):
    pass


class FailingError(UnusableResponseError):
    pass


class OverloadedError(FailingError):
    pass


class RejectedError(UnusableResponseError):
    pass


class NotAskedError(ProviderError):
    pass


class CrowdedError(NotAskedError):
    pass


class TokenRefused(Exception):  # noqa: N818 - a refusal is a response of the protocol, not a failure of ours
    """The token endpoint refused. `error` is one of its codes, such as `invalid_grant`."""

    def __init__(self, error: str, error_description: str | None, status: int) -> None:
        super().__init__(f"{error}: {error_description}" if error_description else error)
        self.error = error
        self.error_description = error_description
        self.status = status
