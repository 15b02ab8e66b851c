"""Which build of the gateway runs: the modules on the path of every request may be compiled.

`gateway --version` says it, so that nothing is imported for it: one of these modules is found and not run.
"""

from __future__ import annotations

from importlib.util import find_spec

_FOUND = find_spec("gateway.proxy.access_record")
BUILD = "interpreted" if _FOUND is None or str(_FOUND.origin).endswith(".py") else "compiled"
