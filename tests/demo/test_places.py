import socket

import pytest
from support.demonstrated import free_base

from gateway.demo.places import Places, check_free, places_from
from gateway.workers.sockets import BindError


def test_without_a_base_the_ports_are_the_usual_ones():
    assert places_from(None) == Places(gateway=8080, admin=9090, provider=8081, backend=8082)


def test_a_base_moves_all_four():
    assert places_from(7000) == Places(gateway=7000, admin=7001, provider=7002, backend=7003)


def test_looking_whether_ports_are_free_leaves_them_free():
    places = places_from(free_base())
    check_free(places)
    check_free(places)


def test_a_taken_port_is_named_with_the_part_that_wants_it():
    places = places_from(free_base())
    with socket.create_server(("127.0.0.1", places.provider)), pytest.raises(BindError) as caught:
        check_free(places)
    assert str(caught.value).startswith(f"provider: cannot listen on 127.0.0.1:{places.provider}: ")
