"""The algorithms of signatures that the gateway verifies (RFC 7518 §3.1, RFC 8037): only those with a public key.

With HS256 whoever verifies could also sign, and a public key can be passed off as the secret (RFC 8725 §3.1).
"""

from __future__ import annotations

from typing import Final

SIGNATURE_ALGORITHMS: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
