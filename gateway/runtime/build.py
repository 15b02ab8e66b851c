"""Which build of the gateway runs: the modules on the path of every request may be compiled."""

from __future__ import annotations

from gateway.proxy import access_record

BUILD = "interpreted" if str(access_record.__file__).endswith(".py") else "compiled"
