"""A place that swallows connections: nobody accepts there, nor refuses."""

import socket
from contextlib import ExitStack, contextmanager


@contextmanager
def full():
    """The URL of a place where nobody accepts, nor refuses: its queue is full."""
    with socket.socket() as listening, ExitStack() as waiting:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
