"""What was enqueued, and whether that is what a test expects."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic_core import PydanticSerializationError, to_jsonable_python

from singleton_service.background.task_queue import Task, TaskHandler, wall_clock
from singleton_service.background.task_queue.codec import STATUS_WIDTH, decode_task
from singleton_service.background.task_queue.decorator import FunctionOfTask

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from singleton_service.background.task_queue.requests import PreparedTask

TaskName: TypeAlias = str | FunctionOfTask[Any] | type[TaskHandler]

_MOST_SHOWN = 20
_LONGEST_VALUE = 60


@dataclass(frozen=True, slots=True)
class Enqueued:
    """A task as it went in.

    Attributes:
        task: pending; `eta` says from when on it may start, if not at once.
        delay_s: the seconds until then.
        is_rough: a point in time was given, and the delay was counted from when this was noted.
    """

    task: Task
    delay_s: float
    is_rough: bool

    @classmethod
    def of(cls, prepared: PreparedTask) -> Enqueued:
        """Read what was sent."""
        when = prepared.when.partition(b";")[0]
        now_ms = wall_clock.now_ms()
        is_rough = when.startswith(b"=")
        delay_ms = max(0, int(when[1:]) - now_ms) if is_rough else int(when)
        reply = [b"ready", prepared.body, *[b""] * (STATUS_WIDTH - 2)]
        if delay_ms:
            reply[0], reply[2] = b"due", b"%d" % (now_ms + delay_ms)
        task = decode_task(prepared.queue, prepared.uid, reply)
        assert task is not None, "it is known"
        return cls(task, delay_ms / 1000, is_rough)


@dataclass(frozen=True, slots=True)
class Expected:
    """What a test expects to have been enqueued; None is anything."""

    name: str
    payload: Mapping[str, Any]
    delay_s: float | None
    queue: str | None

    def differences(self, enqueued: Enqueued) -> list[str]:
        """Say in what a task of that name is another than expected."""
        task = enqueued.task
        found = [
            f"{field} is missing" if field not in task.payload else f"{field} is {_shown(task.payload[field])}"
            for field, value in self.payload.items()
            if field not in task.payload or not _is_same(value, task.payload[field])
        ]
        if self.queue is not None and task.queue != self.queue:
            found.append(f"queue is {task.queue!r}")
        if self.delay_s is not None:
            off_s = abs(enqueued.delay_s - self.delay_s)
            if off_s >= (1 if enqueued.is_rough else 0.001):
                found.append(f"delay is {_in_words(enqueued.delay_s)}")
        return found

    def __str__(self) -> str:
        parts = [f"{field}={_shown(value)}" for field, value in self.payload.items()]
        if self.delay_s is not None:
            parts.append(f"delay={_in_words(self.delay_s)}")
        if self.queue is not None:
            parts.append(f"queue={self.queue!r}")
        return f"{self.name!r} with {', '.join(parts)}" if parts else repr(self.name)


def name_of_task(task: TaskName) -> str:
    """Return the name of a task that is given as such, as its function or as its class.

    Raises:
        TypeError: it is none of these.
    """
    if isinstance(task, str):
        return task
    if isinstance(task, FunctionOfTask):
        return task.name
    if isinstance(task, type) and issubclass(task, TaskHandler) and task._handler is not None:
        return task._handler.name
    raise TypeError(
        f"{task!r} is no task: pass its name, the function that has @task, or the class that is derived from "
        "TaskHandler and not abstract"
    )


def delay_of(delay: float | timedelta | None) -> float | None:
    """Return a delay in seconds."""
    return delay.total_seconds() if isinstance(delay, timedelta) else delay


def explain(
    expected: Expected, number: int | None, found: int, all_of_them: Sequence[Enqueued], known: Iterable[str]
) -> str:
    """Say what was expected, and what was enqueued instead.

    Args:
        expected: what the test wants.
        number: how many of it; None is one or more.
        found: how many there were.
        all_of_them: what was enqueued.
        known: names of tasks, for a guess what the test meant.
    """
    if number is None:
        lines = [f"no task {expected} was enqueued"]
    else:
        lines = [f"{number} tasks {expected} were expected, and {found} enqueued"]
    names = {*known, *(each.task.name for each in all_of_them)}
    if expected.name not in names and (near := difflib.get_close_matches(expected.name, sorted(names), n=1)):
        lines[0] += f"; did you mean {near[0]!r}?"
    if not all_of_them:
        lines.append("Nothing was enqueued at all.")
        return "\n".join(lines)
    lines.append("Enqueued were:")
    # Those of that name first: one of them is what the test was after.
    nearest = sorted(all_of_them, key=lambda each: each.task.name != expected.name)
    for each in nearest[:_MOST_SHOWN]:
        differences = expected.differences(each) if each.task.name == expected.name else []
        lines.append(f"  {_line(each)}{'   <- ' * bool(differences)}{', '.join(differences)}")
    if len(nearest) > _MOST_SHOWN:
        lines.append(f"  and {len(nearest) - _MOST_SHOWN} more")
    return "\n".join(lines)


def _line(enqueued: Enqueued) -> str:
    task = enqueued.task
    payload = ", ".join(f"{field}={_shown(value)}" for field, value in task.payload.items())
    delay = f", delay={_in_words(enqueued.delay_s)}" if enqueued.delay_s else ""
    return f"{task.name}({payload}) in queue {task.queue!r}{delay}"


def _in_words(seconds: float) -> str:
    """Return a length of time as 1d 2h 3m 4.5s, without what there is none of."""
    ms = round(seconds * 1000)
    parts = []
    for unit, length_ms in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000)):
        number, ms = divmod(ms, length_ms)
        if number:
            parts.append(f"{number}{unit}")
    return " ".join([*parts, f"{ms / 1000:g}s"] if ms or not parts else parts)


def _is_same(expected: Any, found: Any) -> bool:
    # As it is first: it may know itself what it is equal to, as mock.ANY and pytest.approx() do.
    if expected == found:
        return True
    try:
        return bool(to_jsonable_python(expected) == found)
    except PydanticSerializationError:
        return False


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 3]}..."
