"""Hooks, scopes and resources that can't be used are refused where they are written."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.worker import (
    LoopResource,
    WorkerResource,
    after_task,
    before_task,
    on_task_failure,
    on_worker_start,
    on_worker_stop,
    scopes,
    task_scope,
    thread_resources,
)
from singleton_service.background.worker.registering import register

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator


def nothing() -> None: ...


def one(_task: object) -> None: ...


@contextmanager
def scope() -> Iterator[None]:
    yield


@asynccontextmanager
async def async_scope() -> AsyncIterator[None]:
    yield


def bare() -> Iterator[None]:
    yield


async def coroutine() -> None: ...


@pytest.mark.parametrize(
    ("decorator", "function", "words"),
    [
        (before_task, nothing, r"test_registering\.nothing\(\) -> .* it has to take the task"),
        (after_task, nothing, "it has to take the end"),
        (on_task_failure, "mail", "'mail' can't be called: pass a function that takes the end"),
        (on_worker_start, one, "it has to take nothing"),
        (on_worker_stop, None, "None can't be called"),
        (task_scope, one, "it has to take nothing"),
        (task_scope, bare, r"bare is a bare generator: put @contextlib\.contextmanager above it"),
        (task_scope, coroutine, "coroutine is async"),
        (WorkerResource, async_scope, "async_scope is async"),
        (task_scope(coroutines=False), async_scope, "async_scope is async"),
        (LoopResource, scope, "scope gives a context manager for `with`, not for `async with`"),
        (LoopResource, coroutine, "coroutine is async: it must be a plain function"),
        (WorkerResource, dict, r"dict makes no context managers for `with`: wrap it, as in `lambda: contextlib\.clos"),
        (
            LoopResource,
            dict,
            r"dict makes no context managers for `async with`: wrap it, .* contextlib\.aclosing\(dict",
        ),
    ],
)
def test_what_can_not_be_used_is_refused_by_name(
    decorator: Callable[[Any], object], function: object, words: str
) -> None:
    lists: list[list[Any]] = [scopes.AROUND_FUNCTIONS, scopes.AROUND_COROUTINES, thread_resources.RESOURCES]
    with pytest.raises(TypeError, match=words):
        decorator(function)
    assert lists == [[], [], []]


def test_a_module_loaded_again_replaces_what_it_registered() -> None:
    known: list[Any] = []
    source = compile("def hook(): ...\ndef several():\n    def inner(): ...\n    return inner", "app.py", "exec")
    first: dict[str, Any] = {}
    second: dict[str, Any] = {}
    exec(source, first)
    exec(source, second)
    for module in (first, second):
        register(known, module["hook"], takes=())
    assert known == [second["hook"]]
    inner = [first["several"](), first["several"]()]
    for each in (*inner, inner[0]):
        register(known, each, takes=())
    assert known == [second["hook"], *inner]
