"""The order of a worker's hooks, and what becomes of the errors they raise."""

from __future__ import annotations

import logging

from ._asyncio import HookLoop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ._life import Life
    from ._worker import AbstractWorker

__all__ = ["Story", "logger"]

logger = logging.getLogger("singleton_service.workers")


class Story:
    """The hooks of *worker* from setup to the shutdown event, in one thread and on one event loop.

    What a hook raises is logged and told to ``lifecycle``, and goes no further: the hooks after it come all the same.
    """

    def __init__(self, worker: AbstractWorker, life: Life, when_main_is_over: Callable[[], None] | None = None) -> None:
        self._worker = worker
        self._life = life
        self._when_main_is_over = when_main_is_over
        self._loop = HookLoop()

    def run(self) -> None:
        """Run all of it, in this thread."""
        self._loop.open()
        hook, failure = "setup", self._attempt(self._worker.setup)
        if failure is None:
            self._tell("startup")
            hook, failure = "main", self._attempt(self._worker.main)
        self._note_end_of_main(hook, failure)
        self._tell_failure(hook, failure)
        self._tell_failure("teardown", self._attempt(self._worker.teardown))
        self._tell("shutdown")
        self._tell_failure("closing the event loop", self._attempt(self._loop.close))

    def break_off(self) -> bool:
        """Cancel main, from any thread, if it is a coroutine that runs; tell whether that was so."""
        return not self._life.main_is_over and self._loop.cancel()

    def _note_end_of_main(self, hook: str, failure: BaseException | None) -> None:
        self._life.main_is_over = True
        if failure is not None:
            self._life.failure = f"{hook} raised {failure!r}"
        if self._when_main_is_over is not None:
            self._when_main_is_over()

    def _attempt(self, hook: Callable[..., object], *args: Any, **kwargs: Any) -> BaseException | None:
        try:
            self._loop.run_if_awaitable(hook(*args, **kwargs))
        except SystemExit as error:
            return error if error.code else None  # sys.exit() is a way to return
        except BaseException as error:  # also a KeyboardInterrupt ends a worker only after its teardown
            return error
        return None

    def _tell(self, event: str, **data: Any) -> None:
        failure = self._attempt(self._worker.lifecycle, event, **data)
        if failure is not None:
            logger.error("worker %r: lifecycle(%r) failed", self._worker.name, event, exc_info=failure)

    def _tell_failure(self, hook: str, failure: BaseException | None) -> None:
        if failure is not None:
            logger.error("worker %r: %s failed", self._worker.name, hook, exc_info=failure)
            self._tell("error", exception=failure)
