"""@task: a function that is also a task."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, Unpack, overload

from .handle import TaskHandle
from .handlers import Handler, registry
from .policy import make_policy
from .service import TaskQueueService

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .policy import PlainOptions, PolicyOptions

P = ParamSpec("P")
R = TypeVar("R")
E = TypeVar("E")


class FunctionOfTask(Generic[R]):
    """A function that is also a task, whatever it takes."""

    def __init__(self, function: Callable[..., R], handler: Handler) -> None:
        functools.update_wrapper(self, function)
        # After the wrapping, which copies attributes: what is decorated may be a task already, under another name.
        self.name = handler.name
        self._function = function
        self._handler = handler

    def __call__(self, *args: Any, **kwargs: Any) -> R:
        """Run the function here and now."""
        return self._function(*args, **kwargs)

    def _enqueue(self, args: Sequence[Any], kwargs: dict[str, Any]) -> TaskHandle:
        return TaskHandle(TaskQueueService.enqueue_task(self.name, self._handler.gather(args, kwargs)))

    def __repr__(self) -> str:
        return f"<task {self.name!r}>"


class TaskFunction(FunctionOfTask[R], Generic[P, R]):
    """A function that is also a task. Calling it runs it here; `enqueue` has a worker run it."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function here and now."""
        return self._function(*args, **kwargs)

    @overload
    def enqueue(self: TaskFunction[[Mapping[str, Any]], R], /, **payload: Any) -> TaskHandle: ...
    @overload
    def enqueue(self: TaskFunction[[dict[str, Any]], R], /, **payload: Any) -> TaskHandle: ...
    @overload
    def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> TaskHandle: ...
    def enqueue(self, /, *args: Any, **kwargs: Any) -> TaskHandle:
        """Enqueue the task with the arguments of the function; one that takes a dict gets all that is given by name.

        One that takes a model, dataclass or TypedDict takes such a payload here, or its fields by name.

        Raises:
            ValueError, TypeError: the function does not take these arguments; the message names field and rule. Or they
                are too large, or can't be told in JSON. Nothing was written.
            QueueUnavailableError: the server is not there.
        """
        return self._enqueue(args, kwargs)


class BatchFunction(FunctionOfTask[R], Generic[E, R]):
    """A function that does many tasks at once. Calling it runs it here, with a list; `enqueue` takes one payload."""

    def __call__(self, payloads: list[E], /) -> R:
        """Run the function here and now."""
        return self._function(payloads)

    @overload
    def enqueue(self, payload: E, /) -> TaskHandle: ...
    @overload
    def enqueue(self, /, **fields: Any) -> TaskHandle: ...
    def enqueue(self, /, *args: Any, **kwargs: Any) -> TaskHandle:
        """Enqueue a task of its own for one payload, or for one with these fields; a worker does it with others.

        Raises:
            ValueError, TypeError: the payload is not what the function takes a list of; the message names field and
                rule. Or it is too large, or can't be told in JSON. Nothing was written.
            QueueUnavailableError: the server is not there.
        """
        return self._enqueue(args, kwargs)


@overload
def task(function: Callable[P, R], /) -> TaskFunction[P, R]: ...
@overload
def task(
    *, name: str | None = None, batch: int, wait: float | None = None, **policy: Unpack[PlainOptions]
) -> Callable[[Callable[[list[E]], R]], BatchFunction[E, R]]: ...
@overload
def task(
    *, name: str | None = None, **policy: Unpack[PlainOptions]
) -> Callable[[Callable[P, R]], TaskFunction[P, R]]: ...
def task(
    function: Callable[..., R] | None = None, /, *, name: str | None = None, **policy: Unpack[PolicyOptions]
) -> FunctionOfTask[R] | Callable[[Callable[..., R]], FunctionOfTask[R]]:
    """Make a function a task: `@task`, or `@task(max_retries=5, retry_delay_seconds=5)`.

    Args:
        function: takes a dict; a pydantic model, a dataclass or a TypedDict; or arguments by name. Plain or
            `async def`. What it returns is the task's result (JSON). With `batch` it takes and returns a list.
        name: the task's name; the function's own unless given.
        policy: see `PolicyOptions`; docs/howto/retries.md shows what they do.

    Raises:
        ValueError: another function has that name already, or an option is out of range.
        TypeError: an option is unknown, or of a wrong type.
    """

    def decorate(function: Callable[..., R]) -> FunctionOfTask[R]:
        task_name = name or str(getattr(function, "__name__", ""))
        handler = Handler(task_name, function, make_policy(policy))
        registry.claim(handler)
        return TaskFunction(function, handler) if handler.policy.batch is None else BatchFunction(function, handler)

    return decorate if function is None else decorate(function)
