from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import redis
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection

from singleton_service.background.engine.connection import connection_factory

if TYPE_CHECKING:
    from pathlib import Path


def connection_to(url: str, read_timeout_s: float = 7.5) -> Any:
    return connection_factory(url)(read_timeout_s)


def test_an_address_comes_out_as_it_went_in() -> None:
    connection = connection_to("redis://user:p%2Fw@example:6380/3?client_name=me")

    assert type(connection) is Connection
    assert (connection.host, connection.port, connection.db) == ("example", 6380, 3)
    assert (connection.username, connection.password) == ("user", "p/w")
    assert connection.client_name == "me"


def test_a_socket_is_connected_to_by_its_path() -> None:
    connection = connection_to("unix:///run/a%20b.sock?db=2")

    assert type(connection) is UnixDomainSocketConnection
    assert (connection.path, connection.db) == ("/run/a b.sock", 2)


@pytest.mark.parametrize("url", ["redis://h", "rediss://h", "unix:///s"])
def test_timeouts_retries_and_decoding_are_ours(url: str) -> None:
    meddling = "?socket_timeout=99&retry_on_timeout=true&decode_responses=true&protocol=3&health_check_interval=1"
    connection = connection_to(url + meddling)

    assert connection.socket_timeout == 7.5
    assert connection.socket_connect_timeout == 1.0
    assert connection.retry._retries == 0
    assert connection.health_check_interval == 0
    assert connection.encoder.decode_responses is False
    assert connection.protocol == 2


@pytest.mark.parametrize("url", ["redis://h", "rediss://h"])
def test_a_peer_that_vanishes_is_noticed(url: str) -> None:
    connection = connection_to(url)

    assert connection.socket_keepalive is True
    assert connection.socket_keepalive_options


def test_tls_checks_the_name_of_the_server_unless_told_to_check_nothing() -> None:
    strict = connection_to("rediss://h")
    lax = connection_to("rediss://h?ssl_cert_reqs=none")

    assert type(strict) is SSLConnection
    assert strict.check_hostname is True
    assert lax.check_hostname is False


def test_each_connection_is_a_new_one() -> None:
    connect = connection_factory("redis://h")

    assert connect(1) is not connect(1)


def test_what_must_be_done_first_is_done_before_every_attempt(tmp_path: Path) -> None:
    attempts: list[int] = []
    connect = connection_factory(f"unix://{tmp_path}/none.sock", lambda: attempts.append(1))
    connection: Any = connect(1)
    assert attempts == []

    for _ in range(2):
        with pytest.raises(redis.ConnectionError):
            connection.connect()

    assert attempts == [1, 1]
