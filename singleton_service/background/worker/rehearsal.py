"""Calling a handler by hand, with all that it has in a worker: for debuggers."""

from __future__ import annotations

import asyncio
import inspect
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, Any

from singleton_service.background.task_queue.rehearsal import rehearsed

from .loop_resources import LOOP_RESOURCES
from .scopes import AROUND_COROUTINES, AROUND_FUNCTIONS, within, within_async
from .thread_resources import RESOURCES

if TYPE_CHECKING:
    from collections.abc import Callable

    from singleton_service.background.task_queue import Task
    from singleton_service.background.task_queue.handlers import Handler


def rehearse(handler: Handler, task: Task) -> Any:
    """Call the handler of a task in the calling thread, and return what it returns, or raise what it raises.

    It gets the task's payload, the resources that workers open, and the scopes they enter; `current_task()` tells of
    the task. There is no time limit, no hook is told, and the queue hears of nothing. One with `execution="process"`
    runs here, too, where a debugger can follow.

    Raises:
        ValueError: the payload is not what the handler takes.
        QueueUnavailableError: the server is not there.
    """
    args, kwargs = ((task.payload,), {}) if handler.form is None else handler.form.load(task.payload)
    is_batch = handler.policy.batch is not None

    def call() -> Any:
        return handler.function([args[0]]) if is_batch else handler.function(*args, **kwargs)

    with rehearsed(task, in_batch=is_batch):
        return asyncio.run(_on_a_loop(call)) if handler.kind == "async" else _in_a_thread(call)


def _in_a_thread(call: Callable[[], Any]) -> Any:
    def awaited() -> Any:
        result = call()
        return asyncio.run(_finish(result)) if inspect.isawaitable(result) else result

    with ExitStack() as stack:
        for resource in RESOURCES:
            stack.enter_context(resource.opened())
        return within(AROUND_FUNCTIONS, awaited)


async def _on_a_loop(call: Callable[[], Any]) -> Any:
    async with AsyncExitStack() as stack:
        for resource in LOOP_RESOURCES:
            await stack.enter_async_context(resource.opened())
        return await within_async(AROUND_COROUTINES, call)


async def _finish(result: Any) -> Any:
    return await result
