"""Has a TLS listener ask for client certificates and take any of them, self-signed ones too (RFC 8705 §2.2).

A client proves in the handshake that it has the certificate's key, and that is all that a token which is bound to the
certificate needs. Python's `ssl` can only refuse what no authority has signed: it has no place for a verify callback,
which OpenSSL itself has. So the callback is set on OpenSSL's own context, which lies behind the object's header in
every release of CPython. It is compared with what Python says of it before anything is written.
"""

from __future__ import annotations

import _ssl
import ctypes
import ssl
import sys
from pathlib import Path
from typing import Any

_VERIFY_PEER = 1
_IS_FINE = 1


_VerifyCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p)
# OpenSSL calls it for as long as the process lives.
_TAKE_ANY = _VerifyCallback(lambda _was_verified, _store: _IS_FINE)


def take_any_certificate(context: ssl.SSLContext) -> None:
    """Set it on `context`, whose `verify_mode` must not be set afterwards. Raises `OSError` where that cannot be done.

    A client may still show none.
    """
    openssl = _openssl()
    pointer = ctypes.c_void_p.from_address(id(context) + object.__basicsize__)
    if sys.implementation.name != "cpython" or openssl.SSL_CTX_get_verify_mode(pointer) != int(context.verify_mode):
        raise OSError("this Python cannot ask for certificates that nobody verifies; write client_certificate: demand")
    openssl.SSL_CTX_set_verify(pointer, _VERIFY_PEER, _TAKE_ANY)


def _openssl() -> Any:
    """The library that Python's `ssl` uses, found by way of the module that is linked with it."""
    path = getattr(_ssl, "__file__", None)
    library = ctypes.CDLL(str(Path(path)) if path else None)
    library.SSL_CTX_get_verify_mode.argtypes = [ctypes.c_void_p]
    library.SSL_CTX_get_verify_mode.restype = ctypes.c_int
    library.SSL_CTX_set_verify.argtypes = [ctypes.c_void_p, ctypes.c_int, _VerifyCallback]
    library.SSL_CTX_set_verify.restype = None
    return library
