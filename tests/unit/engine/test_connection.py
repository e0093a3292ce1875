from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from singleton_service.background.engine.connection import Connection, connection_factory
from singleton_service.background.engine.refusals import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OPENSSL = shutil.which("openssl")
SELECTED, PONG = b"+OK\r\n", b"+PONG\r\n"


class Listener:
    """A server that notes what it is sent, piece by piece, and gives the answers it was told to, one for each piece."""

    def __init__(self, *answers: bytes, context: ssl.SSLContext | None = None) -> None:
        self.heard: list[bytes] = []
        self.closed = threading.Event()
        self._answers = answers
        self._context = context
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        client, _ = self._socket.accept()
        client.settimeout(10)
        try:
            if self._context is not None:
                client = self._context.wrap_socket(client, server_side=True)
            for answer in self._answers:
                self.heard.append(client.recv(4096))
                client.sendall(answer)
            if client.recv(1) == b"":
                self.closed.set()
        except OSError:
            self.closed.set()  # a client that does not like the certificate goes
        finally:
            client.close()

    def close(self) -> None:
        self._thread.join()
        self._socket.close()


@pytest.fixture
def listen() -> Iterator[Callable[..., Listener]]:
    listeners: list[Listener] = []

    def start(*answers: bytes, context: ssl.SSLContext | None = None) -> Listener:
        listeners.append(Listener(*answers, context=context))
        return listeners[-1]

    yield start
    for listener in listeners:
        listener.close()


def connected(url: str) -> Connection:
    connection = connection_factory(url)(5.0)
    connection.connect()
    return connection


def test_a_greeting_is_one_piece_with_all_that_the_url_says(listen: Callable[..., Listener]) -> None:
    server = listen(SELECTED * 3)

    connected(f"redis://me:secret@127.0.0.1:{server.port}/7?client_name=shop").disconnect()

    greeting = (
        b"*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$6\r\nsecret\r\n"
        b"*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$4\r\nshop\r\n"
        b"*2\r\n$6\r\nSELECT\r\n$1\r\n7\r\n"
    )
    assert server.heard == [greeting]


def test_where_the_url_says_nothing_nothing_is_said(listen: Callable[..., Listener]) -> None:
    server = listen()

    connection = connected(f"redis://127.0.0.1:{server.port}")
    connection.connect()
    connection.disconnect()
    connection.disconnect()

    assert server.closed.wait(10)
    assert server.heard == []


def test_one_that_nobody_has_any_more_is_closed(listen: Callable[..., Listener]) -> None:
    server = listen()

    connected(f"redis://127.0.0.1:{server.port}")

    assert server.closed.wait(10)


def test_a_peer_that_vanishes_is_noticed(listen: Callable[..., Listener]) -> None:
    connection = connected(f"redis://127.0.0.1:{listen().port}")

    assert connection.socket is not None
    assert connection.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert connection.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
    assert connection.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert connection.socket.gettimeout() == 5.0
    connection.disconnect()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"-WRONGPASS invalid username-password pair or user is disabled.\r\n+OK\r\n", "invalid username-password"),
        (b"+OK\r\n-ERR DB index is out of range\r\n", "it has no database 7: DB index is out of range"),
        (b"-LOADING Redis is loading the dataset in memory\r\n", "Redis is loading"),
        (b"-ERR max number of clients reached\r\n", "number of clients reached"),
        (b"", "closed by server|reset by peer"),
    ],
)
def test_a_server_that_does_not_let_us_in_is_not_connected_to(
    listen: Callable[..., Listener], answer: bytes, words: str
) -> None:
    server = listen(answer)
    connection = connection_factory(f"redis://:secret@127.0.0.1:{server.port}/7")(0.5 if answer else 0.05)

    with pytest.raises(OSError, match=words if answer else "timed out"):
        connection.connect()

    assert connection.socket is None


def test_a_refusal_is_a_reply(listen: Callable[..., Listener]) -> None:
    server = listen(b"-OOM command not allowed\r\n" + PONG)
    connection = connected(f"redis://127.0.0.1:{server.port}")

    refusal, answer = connection.call((b"SET", "key", 1), (b"PING",))

    assert isinstance(refusal, RefusedError)
    assert (refusal.word, str(refusal)) == ("OOM", "OOM command not allowed")
    assert answer == b"PONG"
    connection.disconnect()


def test_nothing_is_said_on_a_connection_that_is_closed() -> None:
    with pytest.raises(ConnectionError, match="closed"):
        connection_factory("redis://h")(1).call((b"PING",))


def test_where_there_is_no_server_the_error_says_where() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    with pytest.raises(ConnectionError, match=rf"Error 111 connecting to 127\.0\.0\.1:{port}\. Connection refused"):
        connected(f"redis://127.0.0.1:{port}")


def test_a_forked_child_lets_go_of_its_parents_connection_without_ending_it(listen: Callable[..., Listener]) -> None:
    connection = connected(f"redis://127.0.0.1:{listen(PONG).port}")

    child = os.fork()
    if child == 0:
        connection.disconnect()
        os._exit(0)
    os.waitpid(child, 0)

    assert connection.call((b"PING",)) == [b"PONG"]
    connection.disconnect()


def test_each_connection_is_a_new_one() -> None:
    connect = connection_factory("redis://h")

    assert connect(1) is not connect(1)


def test_what_must_be_done_first_is_done_before_every_attempt(tmp_path: Path) -> None:
    attempts: list[int] = []
    connect = connection_factory(f"unix://{tmp_path}/none.sock", lambda: attempts.append(1))
    connection = connect(1)
    assert attempts == []

    for _ in range(2):
        with pytest.raises(ConnectionError, match="No such file"):
            connection.connect()

    assert attempts == [1, 1]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a certificate for localhost, which nobody has vouched for, and its key."""
    if OPENSSL is None:
        pytest.skip("no openssl here to make a certificate with")
    directory = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            *(
                OPENSSL,
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-keyout",
                "key.pem",
                "-out",
                "certificate.pem",
            ),
            *("-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
        ],
        cwd=directory,
        check=True,
        capture_output=True,
    )
    both = directory / "both.pem"
    both.write_text((directory / "key.pem").read_text() + (directory / "certificate.pem").read_text())
    return both


@pytest.mark.parametrize(
    ("host", "parameters", "is_let"),
    [
        ("localhost", "ssl_ca_certs={file}", True),
        ("localhost", "", False),
        ("127.0.0.1", "ssl_ca_certs={file}", False),
        ("127.0.0.1", "ssl_ca_certs={file}&ssl_check_hostname=false", True),
        ("127.0.0.1", "ssl_cert_reqs=none", True),
        ("localhost", "ssl_ca_certs={file}&ssl_certfile={file}&ssl_keyfile={file}", True),
    ],
)
def test_tls_checks_the_server_and_its_name_unless_told_otherwise(
    listen: Callable[..., Listener], certificate: Path, host: str, parameters: str, *, is_let: bool
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = listen(PONG, context=context)
    url = f"rediss://{host}:{server.port}?{parameters.format(file=certificate)}"

    if is_let:
        connection = connected(url)
        assert connection.call((b"PING",)) == [b"PONG"]
        connection.disconnect()
    else:
        with pytest.raises(ConnectionError, match="certificate verify failed"):
            connected(url)
        assert server.heard == []
