"""A lookup of its own through Redis' library, where a node of a cluster does not have what it should."""

from __future__ import annotations

from gateway.cache.connect import Client


async def separate_lookup(client: Client, name: bytes, limit_bytes: int) -> tuple[int, bytes]:
    """The milliseconds that the value has left, and the value as far as `limit_bytes`. Raises as the library does."""
    async with client.pipeline(transaction=False) as pipeline:
        pipeline.pttl(name)
        pipeline.getrange(name, 0, limit_bytes)
        reply = await pipeline.execute()
    match reply:
        case [int(left_ms), bytes(sealed)]:
            return left_ms, sealed
    raise ValueError("not what PTTL and GETRANGE answer")
