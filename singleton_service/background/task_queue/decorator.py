"""@task: a function that is also a task."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, Unpack, overload

from .handle import TaskHandle
from .handlers import Handler, registry
from .policy import PolicyOptions, make_policy
from .service import TaskQueueService

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")


class TaskFunction(Generic[P, R]):
    """A function that is also a task. Calling it runs it here; `enqueue` has a worker run it."""

    def __init__(self, function: Callable[P, R], handler: Handler) -> None:
        functools.update_wrapper(self, function)
        # After the wrapping, which copies attributes: what is decorated may be a task already, under another name.
        self.name = handler.name
        self._function = function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function here and now."""
        return self._function(*args, **kwargs)

    def enqueue(self, **payload: Any) -> TaskHandle:
        """Enqueue the task with these fields as its payload.

        Raises:
            ValueError, TypeError: the payload is no JSON object.
            QueueUnavailableError: the server is not there.
        """
        return TaskHandle(TaskQueueService.enqueue_task(self.name, payload))

    def __repr__(self) -> str:
        return f"<task {self.name!r}>"


@overload
def task(function: Callable[P, R], /) -> TaskFunction[P, R]: ...
@overload
def task(
    *, name: str | None = None, **policy: Unpack[PolicyOptions]
) -> Callable[[Callable[P, R]], TaskFunction[P, R]]: ...
def task(
    function: Callable[P, R] | None = None, /, *, name: str | None = None, **policy: Unpack[PolicyOptions]
) -> TaskFunction[P, R] | Callable[[Callable[P, R]], TaskFunction[P, R]]:
    """Make a function a task: `@task`, or `@task(max_retries=5, retry_delay_seconds=5)`.

    Args:
        function: takes the payload, a dict; plain or `async def`. What it returns is the task's result (JSON).
        name: the task's name; the function's own unless given.
        policy: see `PolicyOptions`; docs/howto/retries.md shows what they do.

    Raises:
        ValueError: another function has that name already, or an option is out of range.
        TypeError: an option is unknown, or of a wrong type.
    """

    def decorate(function: Callable[P, R]) -> TaskFunction[P, R]:
        task_name = name or str(getattr(function, "__name__", ""))
        earlier = registry.get(task_name)
        if earlier and earlier.origin == "application" and not _same_place(earlier.function, function):
            raise ValueError(
                f"two functions are called task {task_name!r}: {_place(earlier.function)} and {_place(function)}; "
                "give one of them another name: @task(name=...)"
            )
        handler = Handler(task_name, function, make_policy(policy))
        registry.register(handler)
        return TaskFunction(function, handler)

    return decorate if function is None else decorate(function)


def _same_place(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    # A module that is reloaded, or run as __main__ and imported, defines the same function again.
    return _code(one) is not None and _code(one) == _code(other)


def _code(function: Callable[..., Any]) -> tuple[str, int] | None:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return (code.co_filename, code.co_firstlineno) if code else None


def _place(function: Callable[..., Any]) -> str:
    module = getattr(function, "__module__", "?")
    return f"{module}.{getattr(function, '__qualname__', repr(function))}"
