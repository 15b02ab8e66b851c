"""What can go wrong with a backend, by what follows from it."""

from __future__ import annotations


class BackendError(Exception):
    """The backend gave no response that could be passed on.

    `BackendError`
    ├── `NotConnectedError`        nothing was sent: another backend may be asked, whatever the method
    ├── `BackendUnreachableError`  the connection was lost before the first byte of a response: may be sent again
    ├── `BackendBrokenError`       a response began that is none
    └── `BackendTimeoutError`      it took longer than the route allows; never sent again
    """

    is_of_gateway = False  # the backend has answered, and the gateway kept that back


class NotConnectedError(BackendError):
    """`is_late`: the connection was not refused but took too long."""

    def __init__(self, words: str, *, is_late: bool = False) -> None:
        super().__init__(words)
        self.is_late = is_late


class BackendUnreachableError(BackendError):
    pass


class BackendBrokenError(BackendError):
    pass


class BackendTimeoutError(BackendError):
    pass
