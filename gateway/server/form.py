"""Which form of the gateway runs: the modules that every request goes through may have been compiled."""

from __future__ import annotations

from gateway.server import exchange

FORM = "interpreted" if str(exchange.__file__).endswith(".py") else "compiled"
