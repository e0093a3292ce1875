"""The bad line does what it says, no more: a plain server behind it, one plain client."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from .proxy import Proxy
from .resp import INCOMPLETE, frame_end, frames
from .servers import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .servers import PlainServer


@pytest.fixture
def client(line: Proxy) -> Iterator[Any]:
    client = redis.Redis(port=line.port, socket_timeout=0.3, retry=Retry(NoBackoff(), 0))
    yield client
    client.close()


def test_a_good_line_hands_everything_on(client: Any, line: Proxy) -> None:
    pipeline = client.pipeline(transaction=False)
    for n in range(500):
        pipeline.rpush("list", "x" * n)
    assert pipeline.execute()[-1] == 500
    assert [len(value) for value in client.lrange("list", 0, -1)] == list(range(500))
    assert line.seen["RPUSH"] == 500


def test_a_dropped_answer_is_that_of_a_command_that_was_carried_out(
    client: Any, line: Proxy, server: PlainServer
) -> None:
    line.drop_answers("INCRBY", 1.0)
    with pytest.raises(redis.ConnectionError):
        client.incr("n")
    assert client.ping()
    assert server.admin.get("n") == b"1"
    assert line.bites["dropped INCRBY"] == 1


def test_a_blocked_command_is_not_carried_out(client: Any, line: Proxy, server: PlainServer) -> None:
    line.block("INCRBY")
    with pytest.raises(redis.TimeoutError):
        client.incr("n")
    assert client.ping()
    assert server.admin.get("n") is None
    line.calm()
    assert client.incr("n") == 1


def test_what_falls_into_a_black_hole_comes_late(client: Any, line: Proxy, server: PlainServer) -> None:
    assert client.ping()
    line.hold()
    with pytest.raises(redis.TimeoutError):
        client.incr("n")
    assert server.admin.get("n") is None
    line.calm()
    wait_for(lambda: server.admin.get("n") == b"1", "what was sent before")


def test_a_cut_connection_is_reset_and_a_new_one_is_good(client: Any, line: Proxy) -> None:
    connection: Any = redis.Connection(port=line.port, socket_timeout=5)  # type: ignore[no-untyped-call]
    connection.connect()
    line.cut()
    with pytest.raises(redis.ConnectionError):
        connection.read_response()
    connection.disconnect()
    assert client.ping()


def test_a_forgotten_connection_stays_silent_and_a_new_one_is_good(client: Any, line: Proxy) -> None:
    assert client.ping()
    line.forget()
    wait_for(lambda: line.bites["forgotten"] == 1, "the blow")
    with pytest.raises(redis.TimeoutError):
        client.ping()
    assert client.ping()


def test_a_stopped_proxy_leaves_no_thread(server: PlainServer) -> None:
    line = Proxy("127.0.0.1", server.port).start()
    line.stop()
    assert not [thread for thread in threading.enumerate() if thread is line._thread]


@pytest.mark.parametrize(
    "frame", [b"+OK\r\n", b":12\r\n", b"$-1\r\n", b"$3\r\na\r\n\r\n", b"*2\r\n*1\r\n:1\r\n$0\r\n\r\n", b"*-1\r\n"]
)
def test_a_frame_ends_where_it_ends_however_it_comes(frame: bytes) -> None:
    assert frame_end(frame, 0) == len(frame)
    for cut in range(len(frame)):
        assert frame_end(frame[:cut], 0) == INCOMPLETE
    data = bytearray(frame + frame + frame[:1])
    assert frames(data) == [frame, frame]
    assert data == frame[:1]
