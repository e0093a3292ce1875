"""Following one task as it goes: the same object for threads and for coroutines."""

from __future__ import annotations

from contextlib import aclosing, closing
from typing import TYPE_CHECKING

from .checks import check_delay
from .errors import TaskNotFoundError
from .outcome import not_ended
from .service import TaskQueueService

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from .records import Task


class Updates:
    """A task, seen again whenever something is new: `for task in updates`, or `async for task in updates`.

    Yields it as it stands, at once; then each time it has reported progress; and last as it ended, whichever way
    (`status.is_final`). A slow reader sees the latest progress, not each. That it has started, or waits for its next
    attempt, is seen within five seconds.

    Raises, while it is read:
        TimeoutError: it has not ended in that time.
        TaskNotFoundError: nobody knows it (any more).
        QueueUnavailableError: the server is not there, or the service was stopped meanwhile.
    """

    def __init__(self, task_id: str, timeout: float | None) -> None:
        self._id = task_id
        self._timeout = None if timeout is None else check_delay("timeout", timeout)

    def __iter__(self) -> Generator[Task, None, None]:
        TaskQueueService._be_started()
        last: Task | None = None
        with closing(TaskQueueService._follow(self._id, self._timeout, progress=True)) as tasks:
            for task in tasks:
                if task != last or task is None:
                    last = self._known(task)
                    yield last
                    if last.status.is_final:
                        return
        raise not_ended(last, self._id, self._timeout)

    async def __aiter__(self) -> AsyncGenerator[Task, None]:
        await TaskQueueService._be_started_async()
        last: Task | None = None
        async with aclosing(TaskQueueService._follow_async(self._id, self._timeout, progress=True)) as tasks:
            async for task in tasks:
                if task != last or task is None:
                    last = self._known(task)
                    yield last
                    if last.status.is_final:
                        return
        raise not_ended(last, self._id, self._timeout)

    def _known(self, task: Task | None) -> Task:
        if task is None:
            raise TaskNotFoundError(self._id)
        return task
