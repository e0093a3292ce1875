"""Classes that do tasks: what defining one does; without a server."""

from __future__ import annotations

from datetime import date  # noqa: TC003 - a handler's annotations are read when it runs
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from singleton_service import BaseService, guarded, requires
from singleton_service._lifecycle import all_services
from singleton_service._operations import state
from singleton_service.background.task_queue import TaskHandler, TaskPriority, TaskQueueService, task
from singleton_service.background.task_queue.policy import OPTIONS, Policy, PolicyOptions

if TYPE_CHECKING:
    from singleton_service.background.task_queue.handlers import HandlerRegistry


class Reporting(TaskHandler):
    abstract = True
    queue = "low"
    max_retries = 5

    @classmethod
    def on_error(cls, task: Any, error: BaseException) -> Any:
        return cls.__name__


def test_a_class_registers_when_it_is_defined_with_its_policy(handlers: HandlerRegistry) -> None:
    class Nightly(Reporting):
        max_retries = 1
        priority = TaskPriority.HIGH
        retry_backoff = True
        retry_on = (OSError, ValueError)

        @classmethod
        def perform(cls, day: date) -> str:
            return f"{cls.__name__} {day}"

    assert set(handlers) == {"Nightly"}
    policy = handlers["Nightly"].policy
    assert policy == Policy(
        queue="low",
        priority=TaskPriority.HIGH,
        max_retries=1,
        retry_backoff=True,
        retry_on=(OSError, ValueError),
        on_error=Nightly.on_error,
    )
    assert policy.on_error is not None
    assert policy.on_error(None, OSError()) == "Nightly"  # type: ignore[arg-type]
    assert handlers["Nightly"].form is not None


def test_the_attributes_are_the_options_of_a_task() -> None:
    its_own = {"abstract", "name", "cron_schedule"}
    assert set(OPTIONS) == {name for name in TaskHandler.__annotations__ if name[0] != "_"} - its_own
    assert set(OPTIONS) == set(PolicyOptions.__annotations__)


def test_the_name_may_be_said_and_is_not_inherited(handlers: HandlerRegistry) -> None:
    class Nightly(TaskHandler):
        name = "nightly-report"

        @classmethod
        def perform(cls, payload: dict[str, Any]) -> None: ...

    class Weekly(Nightly):
        pass

    assert set(handlers) == {"nightly-report", "Weekly"}


def test_an_abstract_class_does_not_register_and_what_derives_from_it_does(handlers: HandlerRegistry) -> None:
    class Base(Reporting):
        abstract = True

        @classmethod
        def perform(cls, payload: dict[str, Any]) -> str:
            return cls.__name__

    class One(Base):
        pass

    assert set(handlers) == {"One"}
    assert handlers["One"].function({}) == "One"
    with pytest.raises(TypeError, match="Base is abstract: enqueue tasks of a class that is derived from it"):
        Base.perform_async()


def test_calling_perform_starts_what_the_class_requires_and_nothing_else_does(handlers: HandlerRegistry) -> None:
    class Database(BaseService):
        rows: ClassVar[list[int]] = []

        @classmethod
        def initialize(cls) -> None:
            cls.rows = [1, 2]

    @requires(Database)
    class Count(TaskHandler):
        @classmethod
        def perform(cls, extra: int = 0) -> int:
            return len(Database.rows) + extra

    assert not state.started
    with pytest.raises(ValueError, match="extra: Input should be a valid integer"):
        Count._handler.form.dump({"extra": "x"})  # type: ignore[union-attr]
    assert not state.started
    assert Count.perform(3) == 5
    assert set(state.started) == {Database, Count}, "the queue is not among them"


def test_a_perform_that_is_guarded_already_stays_as_it_is(handlers: HandlerRegistry) -> None:
    class One(TaskHandler):
        @classmethod
        @guarded
        def perform(cls, payload: dict[str, Any]) -> str:
            return "one"

    assert One.perform({}) == "one"
    assert not hasattr(One.perform.__wrapped__, "_guarded")  # type: ignore[attr-defined]


def test_what_can_do_no_task_is_refused(handlers: HandlerRegistry) -> None:
    with pytest.raises(TypeError, match=r"Lazy does nothing: give it a class method perform\(cls, ...\)"):

        class Lazy(TaskHandler):
            pass

    with pytest.raises(TypeError, match="perform must be a class method"):

        class Plain(TaskHandler):
            def perform(self) -> None: ...

    with pytest.raises(ValueError, match="max_retries -1 is out of range"):

        class Negative(TaskHandler):
            max_retries = -1

            @classmethod
            def perform(cls) -> None: ...

    assert handlers == {}


def test_a_class_is_scheduled_by_cron_or_by_any_expression_and_its_heirs_are_too(handlers: HandlerRegistry) -> None:
    class Nightly(TaskHandler):
        abstract = True
        cron_schedule: ClassVar[str | None] = " 0 2  * * mon"

        @classmethod
        def perform(cls) -> None: ...

    class Report(Nightly):
        pass

    class Cleaning(Nightly):
        cron_schedule = None
        schedule = "hourly"

    class Asked(Nightly):
        cron_schedule = None

    assert {name: handler.policy.schedule for name, handler in handlers.items()} == {
        "Report": "0 2 * * MON",
        "Cleaning": "hourly",
        "Asked": None,
    }


@pytest.mark.parametrize(
    ("cron", "says"),
    [
        ("0 2 * *", r"Bad.cron_schedule: Invalid cron expression: 0 2 \* \*\n(.*\n){2}It has 4 fields, cron has five"),
        ("60 2 * * *", r"Bad.cron_schedule: (.*\n){3}The minute '60' can't be used: it is 0 to .* Try: 0 2 \* \* \*"),
        ("daily", "Bad.cron_schedule = 'daily' has not cron's five fields"),
        ("nightly", "Bad.cron_schedule: Unsupported cron expression: nightly"),
    ],
)
def test_a_cron_schedule_that_is_none_is_refused_when_the_class_is_defined(
    handlers: HandlerRegistry, cron: str, says: str
) -> None:
    with pytest.raises(ValueError, match=says):

        class Bad(TaskHandler):
            cron_schedule = cron

            @classmethod
            def perform(cls) -> None: ...

    assert handlers == {}


def test_a_class_has_one_schedule(handlers: HandlerRegistry) -> None:
    with pytest.raises(ValueError, match="Both has both schedule and cron_schedule: set one of them to None"):

        class Both(TaskHandler):
            schedule = "hourly"
            cron_schedule = "0 2 * * *"

            @classmethod
            def perform(cls) -> None: ...


def test_two_things_of_one_name_are_an_error_that_names_both(handlers: HandlerRegistry) -> None:
    @task(name="Job")
    def job(payload: dict[str, Any]) -> None: ...

    with pytest.raises(ValueError, match=r"two functions are called task 'Job': .*job and .*Job.perform; give"):

        class Job(TaskHandler):
            @classmethod
            def perform(cls) -> None: ...

    assert handlers["Job"].function is job._function


def test_a_class_that_is_loaded_again_may_say_the_same_again(handlers: HandlerRegistry) -> None:
    for _ in range(2):

        class Again(TaskHandler):
            @classmethod
            def perform(cls) -> None: ...

    assert handlers["Again"].function == Again.perform


def test_classes_that_inherit_one_perform_are_two(handlers: HandlerRegistry) -> None:
    class Base(TaskHandler):
        abstract = True

        @classmethod
        def perform(cls) -> None: ...

    class One(Base):
        name = "same"

    with pytest.raises(ValueError, match="two functions are called task 'same'"):

        class Two(Base):
            name = "same"


def test_the_bases_are_no_services_of_the_application(handlers: HandlerRegistry) -> None:
    class Shown(Reporting):
        @classmethod
        def perform(cls) -> None: ...

    names = {service.__name__ for service in all_services()}
    assert "Shown" in names
    assert not names & {"TaskHandler", "Reporting", "BaseRunnable"}
    assert TaskQueueService._client is None
