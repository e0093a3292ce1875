"""The async twins: what handlers of web requests call, without holding up their event loop."""

from __future__ import annotations

import inspect
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from .availability import guarded
from .following import Following
from .managing import Managing
from .outcome import has_ended, not_ended, result_of
from .producing import Producing
from .reading import Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

P = ParamSpec("P")
R = TypeVar("R")


def twin_of(
    method: Callable[P, R],
) -> Callable[[Callable[..., object]], Callable[Concatenate[type[Any], P], Coroutine[Any, Any, R]]]:
    """Make a coroutine method with the parameters and answers of *method*, which it calls in a thread.

    Args:
        method: a guarded class method of TaskQueueService.
    """
    # Behind its guard: what is still in line when the service stops must not start it again.
    function: Callable[..., R] = method.__wrapped__  # type: ignore[attr-defined]
    parameters = inspect.signature(function)

    def decorate(named: Callable[..., object]) -> Callable[Concatenate[type[Any], P], Coroutine[Any, Any, R]]:
        async def twin(cls: type[Any], /, *args: P.args, **kwargs: P.kwargs) -> R:
            answer: R = await cls._open_errands().run(function, cls, *args, **kwargs)
            return answer

        # Not by functools.wraps: whoever looks for the original must not find its twin.
        for attribute in ("__module__", "__name__", "__qualname__", "__doc__"):
            setattr(twin, attribute, getattr(named, attribute))
        twin.__signature__ = parameters  # type: ignore[attr-defined]
        return twin

    return decorate


class Awaiting(Following):
    """The part of TaskQueueService for coroutines.

    Each takes and gives what its twin without the `a` does, raises the same errors, and keeps the context of its
    caller. One that is cancelled may have done its work all the same, but leaves nobody waiting.
    """

    @classmethod
    @guarded
    @twin_of(Producing.enqueue_many)
    def aenqueue_many(cls) -> None:
        """Put many tasks into the queue and return their ids, as `enqueue_many` does."""

    @classmethod
    @guarded
    @twin_of(Reading.get_task_status)
    def aget_task_status(cls) -> None:
        """Return the whole task as it stands now, as `get_task_status` does."""

    @classmethod
    @guarded
    @twin_of(Managing.cancel_task)
    def acancel_task(cls) -> None:
        """Cancel a task that has not ended, as `cancel_task` does."""

    @classmethod
    @guarded
    async def aget_result(cls, task_id: str, timeout: float | None = 0) -> Any:  # noqa: ASYNC109 - its twin's
        """Return what a task returned, waiting for it as `get_result` does. Thousands may wait: none has a thread."""
        task = None
        async with aclosing(cls._follow_async(task_id, timeout)) as tasks:
            async for task in tasks:
                if has_ended(task):
                    return result_of(task_id, task)
        raise not_ended(task, task_id, timeout)
