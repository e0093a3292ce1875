"""Handlers for tests of processes. In a module of their own: processes find them by import."""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from singleton_service import BaseService, requires
from singleton_service.background.task_queue import (
    PermanentError,
    Retry,
    Task,
    TaskHandler,
    TaskInterrupted,
    TaskResult,
    current_task,
    task,
)

LONG_S = 60.0
logger = logging.getLogger("jobs")
number: contextvars.ContextVar[int] = contextvars.ContextVar("number", default=0)


def note(payload: dict[str, Any], word: object) -> None:
    with Path(payload["path"]).open("a", encoding="utf-8") as file:
        file.write(f"{word}\n")


# Ordinary ends


def pid(_payload: dict[str, Any]) -> int:
    return os.getpid()


def echo(payload: dict[str, Any]) -> dict[str, Any]:
    return payload


def repeat(payload: dict[str, Any]) -> str:
    return "x" * int(payload["size"])


async def double(payload: dict[str, Any]) -> int:
    await asyncio.sleep(0)
    return 2 * int(payload["n"])


def ends(payload: dict[str, Any]) -> Any:
    how = payload["how"]
    if how == "raise":
        raise LookupError("nothing there")
    if how == "permanent":
        raise PermanentError("never")
    if how == "retry":
        raise Retry(7, "later")
    if how == "exit":
        sys.exit(3)
    if how == "result":
        return TaskResult(success=False, error="no such address", retryable=False)
    return object()


def ask_later(_task: Task, _error: BaseException) -> float:
    return 5


# Crashes


def crash(payload: dict[str, Any]) -> None:
    how = payload["how"]
    os.close(os.open(f"{payload['path']}-{how}", os.O_CREAT | os.O_EXCL))  # fails at a second run
    if how == "segfault":
        ctypes.string_at(0)
    if how == "exit":
        os._exit(3)
    if how == "memory":
        has = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (has + (64 << 20), has + (64 << 20)))
        hoard = []
        while True:
            hoard.append(bytearray(16 << 20))
    os.kill(os.getpid(), signal.SIGKILL)


# Long ones


def spin(payload: dict[str, Any]) -> None:
    note(payload, os.getpid())
    while True:
        pass


def sleep(payload: dict[str, Any]) -> None:
    note(payload, os.getpid())
    try:
        time.sleep(LONG_S)
    except TaskInterrupted:
        note(payload, "interrupted")
        raise


def sleep_after_a_lock(payload: dict[str, Any]) -> None:
    """Stand in a lock of logging's, where nothing can be thrown, when the time is over; sleep afterwards."""
    note(payload, os.getpid())
    handler, is_taken = logging.Handler(), threading.Event()

    def hold() -> None:
        handler.acquire()
        is_taken.set()
        time.sleep(0.6)
        handler.release()

    threading.Thread(target=hold).start()
    is_taken.wait()
    handler.acquire()
    handler.release()
    time.sleep(LONG_S)


async def doze(payload: dict[str, Any]) -> None:
    note(payload, os.getpid())
    await asyncio.sleep(LONG_S)


def hog(payload: dict[str, Any]) -> None:
    """Count in C without letting go of the interpreter, deaf to signals."""
    note(payload, os.getpid())
    sum(range(1 << 62))


def stubborn(payload: dict[str, Any]) -> None:
    note(payload, os.getpid())
    while True:
        try:
            time.sleep(LONG_S)
        except TaskInterrupted:
            note(payload, "stays")


def wait_for_file(payload: dict[str, Any]) -> int:
    note(payload, os.getpid())
    while not Path(payload["until"]).exists():
        time.sleep(0.005)
    return os.getpid()


def slow_to_forgive(payload: dict[str, Any]) -> None:
    note(payload, os.getpid())
    raise LookupError("at once")


def forgive_slowly(_task: Task, _error: BaseException) -> float:
    time.sleep(0.6)
    return float(os.getpid())


# What it knows of its task


def knows(_payload: dict[str, Any]) -> dict[str, Any]:
    here = current_task()
    assert here is not None
    logger.warning("%s is here", here.id, extra={"odd": Path("odd")})
    number.set(number.get() + 1)
    return {
        "id": here.id,
        "attempt": here.attempt,
        "fence": here.fence,
        "has_deadline": here.deadline is not None,
        "is_cancelled": here.is_cancelled,
        "number": number.get(),
        "is_main_thread": threading.current_thread() is threading.main_thread(),
    }


def forks(_payload: dict[str, Any]) -> int:
    child = os.fork()
    if child == 0:
        return 0
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return os.waitpid(child, 0)[1]


def leaves_a_child(payload: dict[str, Any]) -> None:
    if os.fork() == 0:
        note(payload, os.getpid())
        while not Path(payload["until"]).exists():
            time.sleep(0.005)
        os._exit(0)
    while not Path(payload["path"]).exists():
        time.sleep(0.005)
    os._exit(3)


class Steps(BaseService):
    path: ClassVar[str] = ""

    @classmethod
    def initialize(cls) -> None:
        note({"path": os.environ["STEPS"]}, f"start {os.getpid()}")
        if Path(os.environ["STEPS"] + ".broken").exists():
            raise RuntimeError("the database is away")

    @classmethod
    def shutdown(cls) -> None:
        note({"path": os.environ["STEPS"]}, f"stop {os.getpid()}")


@requires(Steps)
class OnSteps(TaskHandler):
    @classmethod
    def perform(cls, payload: dict[str, Any]) -> int:
        return os.getpid()


class Stays(BaseService):
    @classmethod
    def shutdown(cls) -> None:
        while True:
            with suppress(BaseException):
                time.sleep(LONG_S)


@requires(Stays)
class OnStays(TaskHandler):
    @classmethod
    def perform(cls, payload: dict[str, Any]) -> int:
        return os.getpid()


@task(name="decorated", max_retries=5, on_error=lambda _task, _error: 4)
def decorated(payload: dict[str, Any]) -> None:
    raise ValueError(payload["n"])
