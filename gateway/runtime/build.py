"""Which form of the gateway runs: the modules that every request goes through may have been compiled."""

from __future__ import annotations

from gateway.proxy import access_record

FORM = "interpreted" if str(access_record.__file__).endswith(".py") else "compiled"
