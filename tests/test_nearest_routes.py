import pytest

from gateway.config.route_model import Route
from gateway.nearest_routes import nearest_routes

ROUTES = [
    Route.model_validate({"name": name, "match": match, "backend": ["http://127.0.0.1:9"]})
    for name, match in {
        "orders": {"path": "/v1/orders/{id}", "methods": ["GET"]},
        "colon": {"path": "/v1/invoices/:id"},
        "files": {"path": "/files/**", "host": "files.example.com"},
        "exact": {"path": "/status"},
    }.items()
]


@pytest.mark.parametrize(
    ("method", "host", "path", "expected"),
    [
        ("POST", "h", "/v1/orders/7", ["orders takes GET only"]),
        ("GET", "h", "/v2/orders/7", ["orders has 'v1' as segment 1, not 'v2'"]),
        ("GET", "h", "/v1/order/7", ["orders has 'orders' as segment 2, not 'order'"]),
        ("GET", "h", "/v1/invoices/7", ["colon has ':id' as segment 3, not '7'"]),
        ("GET", "h", "/files/a/b", ["files is for host files.example.com, not 'h'"]),
        ("GET", "h", "/status/", ["exact ends after segment 1: its path is /status"]),
        ("GET", "h", "/v1/orders", ["orders goes on after segment 2: its path is /v1/orders/{id}"]),
        ("GET", "h", "/entirely/else", []),
    ],
)
def test_the_nearest_are_named_with_what_differs(method, host, path, expected) -> None:
    assert nearest_routes(ROUTES, host, path[1:].split("/"), method)[: len(expected) or None] == expected


def test_three_at_most() -> None:
    many = [
        Route.model_validate({"name": f"r{n}", "match": {"path": f"/orders{n}"}, "backend": ["http://127.0.0.1:9"]})
        for n in range(9)
    ]
    assert len(nearest_routes(many, "h", ["orders"], "GET")) == 3
