"""How far a provider's clock may be ahead of ours when the times in its tokens are judged (RFC 7519 §4.1.5).

Never for `exp`: a token must not live longer because two clocks differ.
"""

from __future__ import annotations

# A provider's clock may be so far ahead of ours if it sets `nbf` to the moment of issue. `nbf` is that moment if it is
# within `_AT_ONCE_S` of `iat`.
_CLOCKS_APART_S = 5.0
_AT_ONCE_S = 1.0


def leeway_s(configured_s: float | None, issued_at: object, nbf: float | None) -> float:
    """The leeway for `nbf` and `iat`. A provider that sets `nbf` to the moment of issue, as Spring and Hydra do, means
    no delay.
    """
    if configured_s is not None:
        return configured_s
    if nbf is None or isinstance(issued_at, bool) or not isinstance(issued_at, int | float):
        return 0.0
    return _CLOCKS_APART_S if nbf - _AT_ONCE_S <= issued_at <= nbf + _AT_ONCE_S else 0.0
