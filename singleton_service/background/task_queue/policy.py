"""What a task's own definition says about how its tasks are done."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, get_args

from .checks import check_delay, check_expiry, check_key, check_max_retries, check_priority, check_timeout
from .ids import check_queue

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from .records import Task, TaskPriority

    ErrorClasses = type[BaseException] | tuple[type[BaseException], ...]
    OnError = Callable[[Task, BaseException], Any]

Kind: TypeAlias = Literal["thread", "async", "process"]
_KINDS = get_args(Kind)
DEFAULT_FACTOR = 2.0
_LARGEST_FACTOR = 1000
_LARGEST_BATCH = 1000
DEFAULT_WAIT_S = 0.2
_LONGEST_WAIT_S = 60


def _check_schedule(schedule: Any) -> None:
    # Few tasks have one, and what reads it is as large as everything else that a policy takes.
    from singleton_service.background.expressions import parse  # noqa: PLC0415

    parse(schedule)


_CHECKS: tuple[tuple[str, Callable[[Any], object]], ...] = (
    ("queue", check_queue),
    ("timeout", check_timeout),
    ("max_retries", check_max_retries),
    ("expires_in", check_expiry),
    ("schedule", _check_schedule),
)


class PlainOptions(TypedDict, total=False):
    """The options of tasks that are done one at a time.

    docs/howto/retries.md has the delays that the retry options make.

    Attributes:
        queue: where it is enqueued unless told otherwise.
        priority: with which priority, likewise.
        timeout: seconds an attempt may take; then its handler is interrupted and the attempt has failed.
        max_retries: how often a failed attempt is tried again, likewise.
        expires_in: seconds after which one that has not started is not wanted any more, likewise.
        unique_key: taken until a task has ended, likewise: there is one of these tasks at a time.
        retry_delay_seconds: before the first retry; before each, unless retry_backoff is given, too.
        retry_backoff: True doubles the delay each time; a number, 1 to 1,000, multiplies it.
        retry_backoff_max: no delay is longer, in seconds.
        retry_jitter: how much of a delay is left to chance: 0.5 makes 100 s any time from 50 to 100 s; True is 1.
        retry_on: an exception class, or several: others fail for good at once.
        give_up_on: an exception class, or several: these fail for good at once.
        on_error: `on_error(task, error)`, plain or async, is asked after a failed attempt: True tries again, a number
            tries again after so many seconds, False fails for good, None leaves it to the rest of the policy. It can't
            give a task more than its retries.
        schedule: when it is enqueued again and again, once a process that knows it has started its scheduler: what
            `SchedulerService.schedule_task` takes, such as "daily at 02:00" or "0 2 * * *". Arguments that have to be
            given and are a `date` or a `datetime` are the instant; others need defaults.
        execution: where the handler runs, "thread", "async" (the event loop) or "process". Coroutines run on the loop
            and plain functions in threads, so only a plain function that returns an awaitable has a use for "async". A
            process is for work that computes for long, may crash, or must be stopped whatever it does: it has to be
            able to import the function, see docs/howto/processes.md.
    """

    queue: str | None
    priority: TaskPriority | None
    timeout: float | None
    max_retries: int | None
    expires_in: float | None
    unique_key: str | None
    retry_delay_seconds: float | None
    retry_backoff: bool | float | None
    retry_backoff_max: float | None
    retry_jitter: bool | float | None
    retry_on: ErrorClasses | None
    give_up_on: ErrorClasses | None
    on_error: OnError | None
    schedule: str | timedelta | None
    execution: Kind | None


class PolicyOptions(PlainOptions, total=False):
    """The options of `@task`, `TaskQueueService.register_handler` and, as class attributes, `TaskHandler`.

    docs/howto/batches.md shows batches at work.

    Attributes:
        batch: the handler takes a list of payloads, at most so many, 2 to 1,000; each is still a task of its own.
        wait: how long the first of a batch waits for others when there are fewer, in seconds, 0 to 60; 0.2 unless
            given. 0 takes what is there.
    """

    batch: int | None
    wait: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Options, checked: those of `PolicyOptions`, None where nothing is said."""

    queue: str | None = None
    priority: TaskPriority | None = None
    timeout: float | None = None
    max_retries: int | None = None
    expires_in: float | None = None
    unique_key: str | None = None
    retry_delay_seconds: float | None = None
    retry_backoff: bool | float | None = None
    retry_backoff_max: float | None = None
    retry_jitter: bool | float | None = None
    retry_on: ErrorClasses | None = None
    give_up_on: ErrorClasses | None = None
    on_error: OnError | None = None
    schedule: str | timedelta | None = None
    execution: Kind | None = None
    batch: int | None = None
    wait: float | None = None

    def __post_init__(self) -> None:
        """Refuse a policy that no task could follow."""
        for name, check in _CHECKS:
            if (value := getattr(self, name)) is not None:
                check(value)
        if self.priority is not None:
            object.__setattr__(self, "priority", check_priority(self.priority))
        if self.unique_key is not None:
            check_key("unique_key", self.unique_key)
        for name in ("retry_delay_seconds", "retry_backoff_max"):
            if (seconds := getattr(self, name)) is not None:
                check_delay(name, seconds)
        _check_number("retry_backoff", self.retry_backoff, 1, _LARGEST_FACTOR, "1 (the same delay each time)")
        _check_number("retry_jitter", self.retry_jitter, 0, 1, "0 (none)")
        _check_errors("retry_on", self.retry_on)
        _check_errors("give_up_on", self.give_up_on)
        if self.on_error is not None and not callable(self.on_error):
            raise TypeError(f"on_error {self.on_error!r} can't be called: pass a function that takes (task, error)")
        _check_kind(self.execution)
        _check_batch(self.batch, self.wait, self.execution)

    @property
    def wait_s(self) -> float:
        """How long the first of a batch waits for others."""
        return DEFAULT_WAIT_S if self.wait is None else self.wait

    @property
    def factor(self) -> float:
        """By how much each delay is longer than the one before."""
        if self.retry_backoff is None:
            return DEFAULT_FACTOR if self.retry_delay_seconds is None else 1.0
        if isinstance(self.retry_backoff, bool):
            return DEFAULT_FACTOR if self.retry_backoff else 1.0
        return float(self.retry_backoff)

    def allows(self, error: BaseException) -> bool:
        """Whether *error* is one after which it may be tried again."""
        if self.give_up_on is not None and isinstance(error, self.give_up_on):
            return False
        return self.retry_on is None or isinstance(error, self.retry_on)


OPTIONS = tuple(field.name for field in fields(Policy))


def make_policy(options: Any) -> Policy:
    """Return the policy that *options* (of `PolicyOptions`) make.

    Raises:
        ValueError: one is out of range.
        TypeError: one is unknown, or of a wrong type.
    """
    for name in options:
        if name not in OPTIONS:
            near = difflib.get_close_matches(name, OPTIONS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(OPTIONS)}"
            raise TypeError(f"a task has no option {name!r}: {hint}")
    return Policy(**options)


def _check_number(name: str, value: object, least: float, most: float, least_means: str) -> None:
    if value is None or isinstance(value, bool):
        return
    if not isinstance(value, (int, float)):
        raise TypeError(f"{name} {value!r} is of type {type(value).__name__}, it must be True or a number")
    if not isfinite(value) or not least <= value <= most:
        raise ValueError(f"{name} {value} is out of range: {least_means} to {most}")


def _check_kind(execution: object) -> None:
    if execution is not None and execution not in _KINDS:
        kinds = ", ".join(map(repr, _KINDS))
        raise ValueError(f"execution {execution!r} is none of those there are: pass one of {kinds}, or leave it out")


def _check_batch(batch: object, wait: object, execution: object) -> None:
    if batch is None:
        if wait is not None:
            raise ValueError(f"wait {wait!r} is for those of a batch: pass batch, too, or leave wait out")
        return
    if not isinstance(batch, int) or isinstance(batch, bool):
        raise TypeError(f"batch {batch!r} is of type {type(batch).__name__}, it must be a whole number of payloads")
    if not 2 <= batch <= _LARGEST_BATCH:
        raise ValueError(f"batch {batch} is out of range: 2 to {_LARGEST_BATCH:,} payloads at most")
    if execution == "process":
        raise ValueError("batch is for handlers in threads and on the event loop: leave execution='process' out")
    if wait is None:
        return
    if not isinstance(wait, (int, float)) or isinstance(wait, bool):
        raise TypeError(f"wait {wait!r} is of type {type(wait).__name__}, it must be a number of seconds")
    if not isfinite(wait) or not 0 <= wait <= _LONGEST_WAIT_S:
        raise ValueError(f"wait {wait} is out of range: 0 (take what is there) to {_LONGEST_WAIT_S} seconds")


def _check_errors(name: str, classes: object) -> None:
    if classes is None:
        return
    for each in classes if isinstance(classes, tuple) else (classes,):
        if not (isinstance(each, type) and issubclass(each, BaseException)):
            raise TypeError(
                f"{name} {each!r} is no exception class: pass one, such as ConnectionError, or a tuple of some"
            )
