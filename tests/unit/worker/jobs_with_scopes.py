"""Handlers with resources, scopes and hooks, for tests of processes; they note what happens, and where."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from singleton_service.background.task_queue import CurrentTask, PermanentError, TaskInterrupted, current_task
from singleton_service.background.worker import (
    LoopResource,
    TaskEnd,
    WorkerResource,
    after_task,
    before_task,
    on_task_failure,
    task_scope,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

SPIN = 10**9


def note(word: str) -> None:
    path = os.environ.get("NOTES")
    if path is not None:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{word}\n")


@contextmanager
def connect() -> Iterator[int]:
    note("opens")
    yield os.getpid()
    note("closes")


connection = WorkerResource(connect)


@task_scope
@contextmanager
def transaction() -> Iterator[None]:
    task = current_task()
    assert task is not None
    try:
        yield
    except (PermanentError, TaskInterrupted, asyncio.CancelledError) as error:
        note(f"{task.name} rolls back after {type(error).__name__}")
        raise
    note(f"{task.name} commits")


@before_task
def begins(task: CurrentTask) -> None:
    note(f"{task.name} begins")


@on_task_failure
def fails(end: TaskEnd) -> None:
    note(f"{end.task.name} fails with {type(end.error).__name__}")


@after_task
def ends(end: TaskEnd) -> None:
    note(f"{end.task.name} ends as {end.status}")


def who(_payload: dict[str, Any]) -> list[int]:
    return [connection.get(), os.getpid()]


def gives_up(_payload: dict[str, Any]) -> None:
    raise PermanentError("no")


def spins(_payload: dict[str, Any]) -> None:
    for _ in range(SPIN):
        pass


def crashes(_payload: dict[str, Any]) -> None:
    os.abort()


@asynccontextmanager
async def open_pool() -> AsyncIterator[int]:
    note("pool opens")
    yield os.getpid()
    note("pool closes")


pool = LoopResource(open_pool)


@task_scope
@asynccontextmanager
async def borrowed() -> AsyncIterator[None]:
    await asyncio.sleep(0)
    note("borrows")
    try:
        yield
    finally:
        await asyncio.sleep(0)
        note("gives back")


async def waits(_payload: dict[str, Any]) -> None:
    await asyncio.sleep(SPIN)


async def awho(_payload: dict[str, Any]) -> list[int]:
    await asyncio.sleep(0)
    return [pool.get(), os.getpid()]
