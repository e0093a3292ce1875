"""Which function does which task: the registry of this process."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from .checks import check_delay, check_max_retries, check_name, check_priority
from .ids import check_queue

if TYPE_CHECKING:
    from collections.abc import Callable

    from .records import TaskPriority


@dataclass(frozen=True, slots=True)
class Policy:
    """What a task's own definition says; None where it says nothing."""

    max_retries: int | None = None
    retry_delay_seconds: float | None = None
    queue: str | None = None
    priority: TaskPriority | None = None

    def __post_init__(self) -> None:
        """Refuse a policy that no task could follow."""
        if self.max_retries is not None:
            check_max_retries(self.max_retries)
        if self.retry_delay_seconds is not None:
            check_delay("retry_delay_seconds", self.retry_delay_seconds)
        if self.queue is not None:
            check_queue(self.queue)
        if self.priority is not None:
            object.__setattr__(self, "priority", check_priority(self.priority))


@dataclass(frozen=True, slots=True)
class Handler:
    """A function that does the tasks of one name."""

    name: str
    function: Callable[..., Any]
    policy: Policy = field(default_factory=Policy)
    origin: Literal["application", "sample", "built-in"] = "application"


class HandlerRegistry(dict[str, Handler]):
    """Handlers by task name. The last registration wins; the first real one removes the samples."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()

    def register(self, handler: Handler) -> None:
        """Add a handler."""
        check_name(handler.name)
        if not callable(handler.function):
            raise TypeError(
                f"handler for task {handler.name!r} is {handler.function!r}, which can't be called: "
                "pass a function that takes the payload"
            )
        with self._lock:
            if handler.origin == "application":
                for name in [name for name, known in self.items() if known.origin == "sample"]:
                    del self[name]
            self[handler.name] = handler

    @property
    def is_bare(self) -> bool:
        """Whether the application has registered nothing of its own."""
        return not any(handler.origin == "application" for handler in self.values())


registry = HandlerRegistry()
"""The handlers of this process."""
