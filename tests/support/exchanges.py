"""Exchanges that are over."""

from gateway.proxy.access_record import AccessRecord


def exchange(request_id="id", method="GET", path="/orders", client="192.0.2.1", started_at=0.0, **came_to):
    """One that came to what is given."""
    made = AccessRecord(request_id, method, path, client, started_at)
    for name, value in came_to.items():
        assert hasattr(made, name), name
        setattr(made, name, value)
    return made
