"""TaskHandler: a class that does tasks, and a service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from singleton_service import BaseService, guarded

from .handle import TaskHandle
from .handlers import Handler, registry
from .policy import OPTIONS, make_policy
from .service import TaskQueueService

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from .policy import ErrorClasses, Kind
    from .records import TaskPriority


class TaskHandler(BaseService):
    """A class that does tasks: its attributes say how they are done, its `perform` does them.

    ::

        @requires(DatabaseService)
        class NightlyReport(TaskHandler):
            queue = "low"
            max_retries = 5
            retry_backoff = True

            @classmethod
            def perform(cls, day: date) -> int:
                return DatabaseService.count(day)

        NightlyReport.perform_async(day=date.today())

    The class registers when it is defined, under its own name unless `name` says another. `perform`, plain or async,
    takes what a function of `@task` may take, and is guarded: it, and it alone, starts what the class requires. A class
    that says `abstract = True` in its own body is there to be derived from.

    The other attributes are the options of `@task`, see `PolicyOptions`; they are inherited. `on_error` is a class
    method, `on_error(cls, task, error)`. `cron_schedule` is a `schedule` that is always cron's five fields.
    """

    abstract: ClassVar[bool] = False
    name: ClassVar[str | None] = None
    queue: ClassVar[str | None] = None
    priority: ClassVar[TaskPriority | None] = None
    timeout: ClassVar[float | None] = None
    max_retries: ClassVar[int | None] = None
    expires_in: ClassVar[float | None] = None
    unique_key: ClassVar[str | None] = None
    retry_delay_seconds: ClassVar[float | None] = None
    retry_backoff: ClassVar[bool | float | None] = None
    retry_backoff_max: ClassVar[float | None] = None
    retry_jitter: ClassVar[bool | float | None] = None
    retry_on: ClassVar[ErrorClasses | None] = None
    give_up_on: ClassVar[ErrorClasses | None] = None
    on_error: ClassVar[Any] = None
    schedule: ClassVar[str | timedelta | None] = None
    cron_schedule: ClassVar[str | None] = None
    execution: ClassVar[Kind | None] = None
    batch: ClassVar[int | None] = None
    wait: ClassVar[float | None] = None

    _only_a_base: ClassVar[bool] = True
    _handler: ClassVar[Handler | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Guard `perform` and register the class.

        Raises:
            ValueError: another class or function has its name already, or an option is out of range.
            TypeError: it has no `perform`, or one that is no class method; or an option is of a wrong type.
        """
        own = vars(cls).get("perform")
        if own is not None:
            if not isinstance(own, classmethod):
                raise TypeError(f"{cls.__name__}.perform must be a class method: put @classmethod above it")
            if not getattr(own.__func__, "_guarded", False):
                cls.perform = guarded(own)  # type: ignore[attr-defined]
        super().__init_subclass__(**kwargs)
        cls._only_a_base = bool(vars(cls).get("abstract", False))
        cls._handler = None
        if cls._only_a_base:
            return
        perform = getattr(cls, "perform", None)
        if perform is None:
            raise TypeError(
                f"{cls.__name__} does nothing: give it a class method perform(cls, ...), or say abstract = True "
                "if it is only there to be derived from"
            )
        options = {name: getattr(cls, name) for name in OPTIONS if getattr(cls, name, None) is not None}
        if cls.cron_schedule is not None:
            options["schedule"] = _cron_schedule(cls)
        handler = Handler(vars(cls).get("name") or cls.__name__, perform, make_policy(options))
        registry.claim(handler)
        cls._handler = handler

    @classmethod
    def perform_async(cls, /, *args: Any, **kwargs: Any) -> TaskHandle:
        """Have a worker call `perform` with these arguments, as soon as may be. Starts nothing but the queue.

        Raises:
            ValueError, TypeError: `perform` does not take them; the message names argument and rule.
            QueueUnavailableError: the server is not there.
        """
        return cls._enqueue(args, kwargs)

    @classmethod
    def perform_in(cls, delay_seconds: float, /, *args: Any, **kwargs: Any) -> TaskHandle:
        """Do as `perform_async`, but not before *delay_seconds* from now; raises as it does."""
        return cls._enqueue(args, kwargs, delay_seconds=delay_seconds)

    @classmethod
    def perform_at(cls, when: datetime, /, *args: Any, **kwargs: Any) -> TaskHandle:
        """Do as `perform_async`, but not before *when*; a naive datetime is local time. Raises as it does."""
        return cls._enqueue(args, kwargs, eta=when)

    @classmethod
    def _enqueue(cls, args: tuple[Any, ...], kwargs: dict[str, Any], **when: Any) -> TaskHandle:
        handler = cls._handler
        if handler is None:
            raise TypeError(f"{cls.__name__} is abstract: enqueue tasks of a class that is derived from it")
        return TaskHandle(TaskQueueService.enqueue_task(handler.name, handler.gather(args, kwargs), **when))


def _cron_schedule(cls: type[TaskHandler]) -> str:
    # Few classes have one: see policy.py.
    from singleton_service.background.expressions import Cron, parse  # noqa: PLC0415

    if cls.schedule is not None:
        raise ValueError(f"{cls.__name__} has both schedule and cron_schedule: set one of them to None")
    try:
        recurrence = parse(cls.cron_schedule)
    except ValueError as error:
        raise ValueError(f"{cls.__name__}.cron_schedule: {error}") from None
    except TypeError as error:
        raise TypeError(f"{cls.__name__}.cron_schedule: {error}") from None
    if isinstance(recurrence, Cron):
        return recurrence.text
    raise ValueError(
        f"{cls.__name__}.cron_schedule = {cls.cron_schedule!r} has not cron's five fields, as '0 2 * * *' has; the "
        "attribute for other expressions is schedule"
    )
