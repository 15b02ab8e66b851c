"""What can go wrong with a backend, by what follows from it."""

from __future__ import annotations


class BackendError(Exception):
    """The backend gave no answer that could be passed on.

    `BackendError`
    ├── `BackendUnreachableError`  no connection, or it was reset before the first byte: may be retried
    ├── `BackendBrokenError`       an answer began that is none
    └── `BackendTimeoutError`      it took longer than the route allows; never retried
    """


class BackendUnreachableError(BackendError):
    pass


class BackendBrokenError(BackendError):
    pass


class BackendTimeoutError(BackendError):
    pass
