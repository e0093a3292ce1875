"""Which silence is death: half-open connections are given up at once, and a server that is only slow is waited for."""

from __future__ import annotations

import signal
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.config import Settings
from singleton_service.background.engine import open_engine
from singleton_service.background.task_queue import QueueUnavailableError, TaskQueueService
from singleton_service.background.task_queue import link as link_module
from singleton_service.background.task_queue.client import QueueClient
from singleton_service.background.task_queue.pulse import Pulse
from singleton_service.background.worker import WorkerService

if TYPE_CHECKING:
    from collections.abc import Iterator

    from singleton_service.background.task_queue.link import Link
    from tests.faults.proxy import Proxy
    from tests.faults.servers import PlainServer

# No test lives to see it: what ends before was not ended by it.
NEVER_S = 600.0


@pytest.fixture
def client(line: Proxy) -> Iterator[QueueClient]:
    client = client_of(line.url)
    yield client
    client.close()


def client_of(url: str) -> QueueClient:
    settings = Settings(redis_url=url)
    return QueueClient(open_engine(settings), settings)


def open_links(client: QueueClient, number: int) -> list[Link]:
    links = [client.new_link(NEVER_S) for _ in range(number)]
    assert [link.call(b"PING") for link in links] == [b"PONG"] * number
    return links


def forget(line: Proxy, until: Any) -> None:
    """Leave the connections there are half open."""
    connections = len(line._lines)
    line.forget()
    until(lambda: line.bites["forgotten"] >= connections)


def test_a_server_that_does_not_greet_is_given_up_by_who_would_sleep_on_its_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link_module, "_GREETING_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = client_of(f"redis://127.0.0.1:{silent.getsockname()[1]}/1")
        with pytest.raises(QueueUnavailableError):
            client.new_link(NEVER_S).send(b"BLPOP", b"wake", 30)
        client.close()


def test_a_half_open_connection_is_given_up_and_the_next_call_finds_a_good_one(
    client: QueueClient, line: Proxy, until: Any
) -> None:
    (link,) = open_links(client, 1)
    forget(line, until)
    with pytest.raises(QueueUnavailableError, match="fell silent, while the server answers others"):
        link.call(b"PING")
    assert link.call(b"PING") == b"PONG"
    assert link.openings == 2


def test_once_one_is_found_dead_all_connections_of_the_process_are_replaced_before_they_are_used(
    client: QueueClient, line: Proxy, until: Any
) -> None:
    first, *others = open_links(client, 5)
    forget(line, until)
    with pytest.raises(QueueUnavailableError):
        first.call(b"PING")
    assert [link.call(b"PING") for link in others] == [b"PONG"] * 4
    assert [link.openings for link in others] == [2] * 4


def test_threads_that_wait_on_half_open_connections_are_all_freed(
    client: QueueClient, line: Proxy, in_thread: Any, until: Any
) -> None:
    links = open_links(client, 8)
    forget(line, until)
    freed: list[str] = []

    def call(link: Link) -> None:
        with pytest.raises(QueueUnavailableError) as raised:
            link.call(b"PING")
        freed.append(raised.value.reason)

    for link in links:
        in_thread(lambda link=link: call(link))
    until(lambda: len(freed) == len(links))
    # One of them asks for all.
    assert line.connections <= len(links) + 3


def test_whoever_was_given_up_has_more_patience_for_the_next_try_until_it_succeeds(
    client: QueueClient, line: Proxy
) -> None:
    link = client.new_link(1.0)
    line.block("INCR")

    def reason() -> str:
        with pytest.raises(QueueUnavailableError) as raised:
            link.call(b"INCR", b"n")
        return raised.value.reason

    assert [reason().partition(",")[0] for _ in range(2)] == ["a connection fell silent", "no answer within 1 s"]
    assert link.call(b"PING") == b"PONG"
    assert "fell silent" in reason()


def test_in_a_black_hole_nobody_is_given_up(client: QueueClient, line: Proxy, in_thread: Any, until: Any) -> None:
    links = open_links(client, 4)
    answers: list[Any] = []
    line.hold()
    for link in links:
        in_thread(lambda link=link: answers.append(link.call(b"INCR", b"n")))
    # More than one question goes unanswered.
    until(lambda: line.connections >= len(links) + 2)
    line.calm()
    until(lambda: sorted(answers) == [1, 2, 3, 4])
    assert [link.openings for link in links] == [1] * 4


@pytest.mark.parametrize("what", ["ALL", "WRITE"])
def test_a_server_that_has_its_clients_wait_is_waited_for(
    what: str, client: QueueClient, line: Proxy, server: PlainServer
) -> None:
    (link,) = open_links(client, 1)
    server.admin.execute_command("CLIENT", "PAUSE", 1500, what)
    assert link.call(b"EVAL", b"return redis.call('INCR', KEYS[1])", 1, b"n") == 1
    assert link.openings == 1
    # It was asked, and not again and again.
    assert 2 <= line.connections <= 5


def test_a_server_that_stood_still_wakes_up_to_no_crowd(
    client: QueueClient, line: Proxy, server: PlainServer, in_thread: Any, until: Any
) -> None:
    links = open_links(client, 8)
    answers: list[Any] = []
    server.send(signal.SIGSTOP)
    for link in links:
        in_thread(lambda link=link: answers.append(link.call(b"INCR", b"n")))
    until(lambda: line.connections >= len(links) + 2)
    server.send(signal.SIGCONT)
    until(lambda: len(answers) == len(links))
    assert [link.openings for link in links] == [1] * 8
    assert line.connections <= len(links) + 4


def test_a_busy_server_gives_no_sign_of_life(client: QueueClient, server: PlainServer, until: Any) -> None:
    server.admin.config_set("busy-reply-threshold", 20)
    (link,) = open_links(client, 1)
    link.send(b"EVAL", b"while true do end", 0)
    until(lambda: not server.answers())
    assert not link.is_dead()
    server.admin.script_kill()
    assert link.openings == 1


def test_an_answer_that_comes_in_pieces_is_waited_for() -> None:
    piece, pieces = b"x" * 10_000, 10
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"$%d\r\n" % (len(piece) * pieces))
                for _ in range(pieces):
                    # Longer than patience lasts in all, but never in silence.
                    time.sleep(0.1)
                    connection.sendall(piece)
                connection.sendall(b"\r\n")
                connection.recv(1000)

        thread = threading.Thread(target=serve)
        thread.start()
        client = client_of(f"redis://127.0.0.1:{listener.getsockname()[1]}/0")
        link = client.new_link(NEVER_S)
        assert link.call(b"GET", b"large") == piece * pieces
        assert link.openings == 1
        client.close()
        thread.join()


def test_what_waits_on_the_server_for_its_disk_or_replicas_is_not_doubted(client: QueueClient) -> None:
    (link,) = open_links(client, 1)
    assert link.run([(b"SET", b"key", b"value"), (b"WAIT", 1, 1200)]) == [b"OK", 0]
    assert link.openings == 1


def test_one_dead_connection_is_one_death(client: QueueClient) -> None:
    pulse = Pulse(client.engine)
    for _ in range(3):
        pulse.bury(0)
    assert pulse.generation == 1


def test_an_enqueue_over_a_half_open_connection_succeeds(application: None, line: Proxy, until: Any) -> None:
    TaskQueueService.enqueue_task("x")
    forget(line, until)
    TaskQueueService.enqueue_task("x")
    assert TaskQueueService.get_queue_stats()["pending_tasks"] == 2


def test_an_idle_worker_sleeps_on_no_half_open_connection(application: None, line: Proxy, until: Any) -> None:
    TaskQueueService.register_handler("x", lambda payload: "done")
    WorkerService.start_workers(1)
    until(lambda: line.seen["BLPOP"] >= 1)
    forget(line, until)
    until(lambda: line.seen["BLPOP"] >= 2)
    assert TaskQueueService.get_result(TaskQueueService.enqueue_task("x"), timeout=10) == "done"


def test_a_loop_of_ones_own_sleeps_on_no_half_open_connection(
    application: None, line: Proxy, in_thread: Any, until: Any
) -> None:
    got: list[Any] = []
    in_thread(lambda: got.append(TaskQueueService.get_next_task(timeout=60)))
    until(lambda: line.seen["BLPOP"] >= 1)
    forget(line, until)
    until(lambda: line.seen["BLPOP"] >= 2, 8)
    task_id = TaskQueueService.enqueue_task("x")
    until(lambda: [task.id for task in got] == [task_id])
