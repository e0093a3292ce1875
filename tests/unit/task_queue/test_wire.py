from __future__ import annotations

import socket
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.engine import RefusedError
from singleton_service.background.task_queue.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_S = 0.01


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(10)
        yield ours, theirs


@pytest.fixture
def server(ends: tuple[socket.socket, socket.socket]) -> socket.socket:
    return ends[1]


@pytest.fixture
def wire(ends: tuple[socket.socket, socket.socket]) -> Wire:
    return wire_on(ends[0])


def wire_on(sock: Any) -> Wire:
    connection: Any = SimpleNamespace(socket=sock)
    return Wire(connection, write_timeout_s=10, patience_s=PATIENCE_S)


def test_commands_go_in_one_piece(wire: Wire, server: socket.socket) -> None:
    wire.send([(b"HSET", "key", 1, b"\xff"), (b"PING",)])

    assert server.recv(1024) == b"*4\r\n$4\r\nHSET\r\n$3\r\nkey\r\n$1\r\n1\r\n$1\r\n\xff\r\n*1\r\n$4\r\nPING\r\n"


def test_what_the_socket_does_not_hold_has_all_the_time_for_writing(wire: Wire, server: socket.socket) -> None:
    value = b"x" * 8_000_000
    sender = threading.Thread(target=wire.send, args=([(b"SET", b"key", value)],))
    sender.start()
    # For longer than patience lasts nobody reads.
    sender.join(5 * PATIENCE_S)
    assert sender.is_alive()

    received = bytearray()
    while not received.endswith(b"x\r\n"):
        received += server.recv(1_000_000)
    sender.join()

    assert received.endswith(b"$8000000\r\n" + value + b"\r\n")
    with pytest.raises(TimeoutError):  # and reading has its patience back
        wire.receive()


def test_a_reply_that_comes_in_pieces_is_whole(wire: Wire, server: socket.socket) -> None:
    server.sendall(b"*2\r\n:1\r\n$5\r\nhe")
    with pytest.raises(TimeoutError):
        wire.receive()
    assert wire.has_reply(0)
    assert not wire.has_bytes(0), "what came before is no sign of life"

    server.sendall(b"llo\r\n+OK\r\n")

    assert wire.receive() == [1, b"hello"]
    assert wire.has_reply(0)
    assert wire.receive() == b"OK"
    assert not wire.has_reply(0)


def test_a_refusal_is_a_reply(wire: Wire, server: socket.socket) -> None:
    server.sendall(b"-NOSCRIPT No matching script.\r\n$-1\r\n")

    refusal = wire.receive()
    assert isinstance(refusal, RefusedError)
    assert refusal.word == "NOSCRIPT"
    assert wire.receive() is None


@pytest.mark.parametrize("said", [b"", b"-LOADING Redis is loading\r\n", b"-ERR max number of clients reached\r\n"])
def test_a_server_that_does_not_serve_is_gone(wire: Wire, server: socket.socket, said: bytes) -> None:
    server.sendall(said)
    server.close()

    with pytest.raises(ConnectionError):
        wire.receive()


def test_what_tls_has_deciphered_has_come(ends: tuple[socket.socket, socket.socket]) -> None:
    class Deciphering:
        pending = staticmethod(lambda: 5)

        def __getattr__(self, name: str) -> Any:
            return getattr(ends[0], name)

    assert wire_on(Deciphering()).has_bytes(0)
