import pytest

from gateway.http.client_network import ClientNetwork, client_network


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1", ("192.0.2.1", "192.0.2.1")),
        ("::ffff:192.0.2.1", ("192.0.2.1", "192.0.2.1")),
        ("2001:db8:1:2::1", ("2001:db8:1::/48", "2001:db8:1:2::")),
        ("2001:DB8:1:2:0::99", ("2001:db8:1::/48", "2001:db8:1:2::")),
        ("2001:db8:1::1", ("2001:db8:1::/48", "2001:db8:1::")),
        ("2001:db8:2::1", ("2001:db8:2::/48", "2001:db8:2::")),
        ("fe80::1%eth0", ("fe80::/48", "fe80::")),
        ("", ("", "")),
        ("unix", ("unix", "unix")),
    ],
)
def test_an_address_is_in_a_network_and_that_in_a_block(address: str, expected: tuple[str, str]) -> None:
    assert client_network(address) == ClientNetwork(*expected)
