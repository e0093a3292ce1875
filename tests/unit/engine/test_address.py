from __future__ import annotations

import pytest

from singleton_service.background.engine.address import Address


def test_an_address_comes_out_as_it_went_in() -> None:
    address = Address("redis://user:p%2Fw@example:6380/3?client_name=me")

    assert (address.host, address.port, address.database) == ("example", 6380, 3)
    assert (address.username, address.password) == ("user", "p/w")
    assert address.client_name == "me"
    assert not address.is_secure
    assert str(address) == "example:6380"


def test_what_is_not_said_is_as_redis_has_it() -> None:
    address = Address("redis://")

    assert (address.host, address.port, address.database) == ("localhost", 6379, 0)
    assert (address.username, address.password, address.client_name, address.path) == (None, None, None, None)


def test_a_socket_file_is_known_by_its_path() -> None:
    address = Address("unix://me:secret@/run/a%20b.sock?db=2")

    assert (address.path, address.database) == ("/run/a b.sock", 2)
    assert (address.username, address.password) == ("me", "secret")
    assert str(address) == "/run/a b.sock"


@pytest.mark.parametrize("url", ["redis://[::1]:7000/1", "rediss://[::1]:7000?db=1"])
def test_a_host_may_be_a_number(url: str) -> None:
    address = Address(url)

    assert (address.host, address.port, address.database) == ("::1", 7000, 1)


def test_parameters_count_where_the_address_says_nothing() -> None:
    address = Address("redis://h/4?db=5&username=me&password=p%25")

    assert (address.username, address.password, address.database) == ("me", "p%", 5)


def test_parameters_about_anything_else_are_left_out() -> None:
    plain = Address("redis://h?socket_timeout=99&retry_on_timeout=true&decode_responses=true&protocol=3")

    assert vars(plain) == vars(Address("redis://h"))


def test_what_is_said_of_certificates_is_kept() -> None:
    assert Address("rediss://h?ssl_cert_reqs=none&ssl_ca_certs=/ca.pem").tls == {
        "cert_reqs": "none",
        "ca_certs": "/ca.pem",
    }
