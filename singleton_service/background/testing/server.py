"""The server of a test run: one of its own, or one it is given. Each test has a namespace on it."""

from __future__ import annotations

import shutil
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from singleton_service.background.config.load import load_settings
from singleton_service.background.config.redis_url import check_redis_url
from singleton_service.background.engine import EngineError, open_engine, supervisor
from singleton_service.background.engine.locks import LockFile
from singleton_service.background.engine.private_dir import socket_path_for
from singleton_service.background.task_queue import wall_clock
from singleton_service.background.task_queue.client import QueueClient
from singleton_service.background.task_queue.link import Link
from singleton_service.background.task_queue.scripts import load_scripts

if TYPE_CHECKING:
    from pathlib import Path

    from singleton_service.background.config import PlainSettings

# Every script asks for it, so that time moves with one SET, for all of them and all that is connected.
_CLOCK: Final = 'tonumber(redis.call("GET", string.match(KEYS[1], "^[^:]*") .. ":clock") or "0")'
_PAGE: Final = 1000
_PATIENCE_S: Final = 10.0
_LOOK_S: Final = 0.002


class RunServer:
    """A server that is there while it is open. Thread-safe."""

    def __init__(self, directory: Path, redis_url: str | None) -> None:
        """Start one whose data is in *directory*, and goes with it; with *redis_url* use that one.

        Raises:
            ConfigError: a variable of the environment breaks its rule.
            ValueError: *redis_url* can't be used.
            EngineError: the embedded server can't be started.
            QueueUnavailableError: the server at *redis_url* does not answer.
        """
        self._directory = directory
        given = check_redis_url(redis_url) if redis_url else None
        own = {"redis_url": given, "data_dir": directory, "embedded_fsync": "no", "durability": "memory"}
        try:
            self._engine = open_engine(load_settings().but(**own))
        except EngineError as error:
            error.add_note(
                "The fixture task_queue starts a server of the test run's own. To have it use one that runs, override "
                "the fixture task_queue_redis_url"
            )
            raise
        self._lock = threading.Lock()
        self._link = Link(self._engine, load_scripts(_CLOCK))
        # One on another machine has another clock. Ours and its must agree on what has come.
        self._lead_ms = 0 if given is None else self._measured_lead_ms()

    @property
    def url(self) -> str:
        """Where it is, for every process."""
        return self._engine.url

    def connect(self, settings: PlainSettings, namespace: str) -> QueueClient:
        """Return a client with these settings, but of this server and this namespace, and its clock."""
        ours = settings.but(redis_url=self.url, namespace=namespace)
        return QueueClient(open_engine(ours), ours, load_scripts(_CLOCK))

    def set_clock(self, namespace: str, ahead_ms: int) -> None:
        """Have the clock of a namespace be so far ahead of this machine's."""
        self._call(b"SET", f"{namespace}:clock", ahead_ms - self._lead_ms)

    def erase(self, namespace: str) -> None:
        """Forget a namespace."""
        cursor = b"0"
        while True:
            cursor, keys = self._call(b"SCAN", cursor, b"MATCH", f"{namespace}:*", b"COUNT", _PAGE)
            if keys:
                self._call(b"DEL", *keys)
            if cursor == b"0":
                return

    def close(self) -> None:
        """Let go of it; one of its own has ended, and its data is gone, when this returns."""
        self._link.close()
        self._engine.close()
        if self._engine.is_embedded:
            # By itself it would end a moment later, for nobody uses it any more.
            supervisor.ask(str(socket_path_for(self._directory)), "SHUTDOWN", "NOSAVE")
            self._await_end()
            shutil.rmtree(self._directory)

    def _measured_lead_ms(self) -> int:
        seconds, us = self._call(b"TIME")
        return int(seconds) * 1000 + int(us) // 1000 - wall_clock.now_ms()

    def _await_end(self) -> None:
        deadline_s = time.monotonic() + _PATIENCE_S
        lock = LockFile(self._directory / supervisor.SUPERVISOR_LOCK)
        while not lock.try_alone() and time.monotonic() < deadline_s:
            time.sleep(_LOOK_S)
        lock.close()

    def _call(self, *command: bytes | str | int) -> Any:
        with self._lock:
            return self._link.call(*command)
