from __future__ import annotations

import os
import signal
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

from singleton_service.background.config import Settings
from singleton_service.background.engine import Engine, open_engine
from singleton_service.background.task_queue.wire import Wire

if TYPE_CHECKING:
    from singleton_service.background.task_queue.link import Command
    from tests.system.embedded.conftest import Home


class Writer(threading.Thread):
    """Appends 0, 1, 2, ... to a list, a hundred in flight, and counts the answers."""

    def __init__(self, engine: Engine, key: str) -> None:
        super().__init__()
        self.connection = engine.connection()
        self.key = key
        self.acknowledged = 0

    def run(self) -> None:
        try:
            self.connection.connect()
            wire = Wire(self.connection, write_timeout_s=5, patience_s=5)
            wire.send(self.commands(0))
            while True:
                wire.send(self.commands(self.acknowledged + 100))
                for _ in range(100):
                    wire.receive()
                    self.acknowledged += 1
        except OSError:
            pass
        finally:
            self.connection.disconnect()

    def commands(self, first: int) -> list[Command]:
        return [("RPUSH", self.key, str(number)) for number in range(first, first + 100)]


def answer(engine: Engine, *command: str) -> Any:
    connection = engine.connection()
    try:
        connection.connect()
        return connection.call(command)[0]
    except OSError as error:
        return error
    finally:
        connection.disconnect()


def test_nothing_acknowledged_is_lost_when_the_server_is_killed_under_load(home: Home) -> None:
    settings = Settings(redis_url=None, data_dir=home.path)
    with closing(open_engine(settings)) as engine:
        for round_number in range(4):
            writers = [Writer(engine, f"round-{round_number}-{name}") for name in "ab"]
            for writer in writers:
                writer.start()
                home.wait_until(lambda writer=writer: writer.acknowledged > 5_000)  # type: ignore[misc]

            os.kill(home.server, signal.SIGKILL)

            for writer in writers:
                writer.join()
            home.wait_until(lambda: answer(engine, "PING") == b"PONG")
            for writer in writers:
                kept = [int(number) for number in answer(engine, "LRANGE", writer.key, "0", "-1")]
                assert len(kept) >= writer.acknowledged
                assert kept == list(range(len(kept)))


def test_whoever_asks_for_always_gets_it_after_a_restart_too(home: Home) -> None:
    def open_with(fsync: Any) -> Engine:
        return open_engine(Settings(redis_url=None, data_dir=home.path, embedded_fsync=fsync))

    def in_force() -> Any:
        return answer(first, "CONFIG", "GET", "appendfsync")

    with closing(open_with("no")) as first:
        assert in_force() == [b"appendfsync", b"no"]

        with closing(open_with("always")):
            assert in_force() == [b"appendfsync", b"always"]

        open_with("no").close()
        os.kill(home.server, signal.SIGKILL)
        home.wait_until(lambda: answer(first, "PING") == b"PONG")
        assert in_force() == [b"appendfsync", b"always"]
