"""One `AutoPipeline` for each Redis node. In a cluster the slot of a name decides which node it goes to."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from redis.asyncio import RedisCluster
from redis.exceptions import RedisClusterException, RedisError

from gateway.cache.auto_pipeline import AutoPipeline
from gateway.cache.connect import Client, connect_raw, nodes_of

_Place = tuple[str, int]
_ONLY: _Place = ("", 0)


class Pipelines:
    """Finds the pipeline to a name's node and makes it where there is none yet.

    `client` connects, finds a Sentinel's primary and knows a cluster's layout. The bounds are those of `AutoPipeline`.
    """

    def __init__(self, client: Client, *, timeout_s: float, bulk_bytes_max: int) -> None:
        self._client = client
        self._timeout_s = timeout_s
        self._bulk_bytes_max = bulk_bytes_max
        self._by_place: dict[_Place, AutoPipeline] = {}
        # Asked once: this class is a protocol, and the question takes longer than all else here.
        self._cluster = client if isinstance(client, RedisCluster) else None
        if not isinstance(client, RedisCluster):
            self._by_place[_ONLY] = self._made(client.connection_pool.make_connection)

    def of(self, name: str | bytes) -> AutoPipeline | None:
        """The pipeline to the node of `name`; `None` where the cluster's layout is not known, or does not cover it."""
        if self._cluster is None:
            return self._by_place[_ONLY]
        try:
            node = self._cluster.get_node_from_key(name)  # type: ignore[arg-type]  # bytes as well
        except (RedisClusterException, RedisError):
            return None
        if node is None:
            return None
        place = (str(node.host), int(node.port))
        pipeline = self._by_place.get(place)
        if pipeline is None:
            self._drop_nodes_that_left()
            connection = partial(node.connection_class, **node.connection_kwargs)
            pipeline = self._by_place[place] = self._made(connection)
        return pipeline

    async def warm_up(self) -> None:
        """Connect outside of any caller's deadline, where Redis has only one node."""
        if (only := self._by_place.get(_ONLY)) is not None:
            await only.warm_up()

    async def close(self) -> None:
        for pipeline in self._by_place.values():
            await pipeline.close()

    def _drop_nodes_that_left(self) -> None:
        for place in self._by_place.keys() - set(nodes_of(self._client)):
            self._by_place.pop(place).shut()

    def _made(self, connection: Callable[[], Any]) -> AutoPipeline:
        return AutoPipeline(
            lambda: connect_raw(connection()), timeout_s=self._timeout_s, bulk_bytes_max=self._bulk_bytes_max
        )
