"""Services start on first use, dependencies first, once, and only when their ping holds."""

from __future__ import annotations

import gc
from itertools import permutations
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from singleton_service import BaseService, guarded, requires, start, stop
from singleton_service.exceptions import (
    CircularDependencyError,
    SelfDependencyError,
    ServiceError,
    ServiceInitializationError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from .conftest import Journal, Workshop


def test_declaring_services_starts_nothing(workshop: Workshop, journal: Journal) -> None:
    lower = workshop.service("Lower")
    workshop.service("Upper", lower)
    assert journal.lines == []


def test_the_first_guarded_call_starts_dependencies_before_their_dependents(
    workshop: Workshop, journal: Journal
) -> None:
    config = workshop.service("Config")
    queue = workshop.service("Queue", config)
    worker = workshop.service("Worker", queue)

    assert worker.call() == "Worker"
    assert journal.lines == ["+Config", "+Queue", "+Worker"]


def test_each_service_starts_once_however_often_it_is_called(workshop: Workshop, journal: Journal) -> None:
    config = workshop.service("Config")
    first, second = workshop.service("First", config), workshop.service("Second", config)
    for service in (first, second, config, first):
        service.call()
    assert sorted(journal.lines) == ["+Config", "+First", "+Second"]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_order_of_requires_is_irrelevant_for_who_precedes_whom(
    workshop: Workshop, journal: Journal, order: tuple[int, ...]
) -> None:
    a = workshop.service("A")
    b = workshop.service("B", a)
    c = workshop.service("C", b)
    top = workshop.service("Top", *((a, b, c)[index] for index in order))
    top.call()
    assert journal.lines == ["+A", "+B", "+C", "+Top"]


def test_stacked_requires_add_up() -> None:
    class A(BaseService): ...

    class B(BaseService): ...

    @requires(A)
    @requires(B)
    class Top(BaseService): ...

    assert Top._dependencies == {A, B}


def test_a_subclass_inherits_what_its_base_requires() -> None:
    class A(BaseService): ...

    class B(BaseService): ...

    @requires(A)
    class Base(BaseService): ...

    @requires(B)
    class Child(Base): ...

    assert Child._dependencies == {A, B}
    assert Base._dependencies == {A}


def test_a_subclass_of_a_started_service_is_not_started() -> None:
    class Base(BaseService):
        started: ClassVar[list[str]] = []

        @classmethod
        def initialize(cls) -> None:
            cls.started.append(cls.__name__)

        @classmethod
        @guarded
        def call(cls) -> str:
            return cls.__name__

    class Child(Base): ...

    assert Base.call() == "Base"
    assert not Child._initialized
    assert Child.call() == "Child"
    assert Base.started == ["Base", "Child"]


def test_an_inherited_guarded_method_starts_the_class_it_was_called_on() -> None:
    class Base(BaseService):
        @classmethod
        @guarded
        def call(cls) -> str:
            return cls.__name__

    class Child(Base):
        ready = False

        @classmethod
        def initialize(cls) -> None:
            cls.ready = True

    assert Child.call() == "Child"
    assert Child.ready
    assert not Base._initialized


@pytest.mark.parametrize("answer", [False, None, 0])
def test_a_service_whose_ping_does_not_hold_is_not_started(
    workshop: Workshop, journal: Journal, answer: object
) -> None:
    answers = [answer, True]
    service = workshop.service("Service", ping=lambda: answers.pop(0))

    with pytest.raises(ServiceInitializationError, match="ping method returned False"):
        service.call()
    assert not service._initialized

    assert service.call() == "Service"
    assert journal.lines == ["+Service", "+Service"]


def test_a_ping_that_raises_is_the_cause_of_the_error(workshop: Workshop) -> None:
    service = workshop.service("Service", ping=lambda: 1 / 0)
    with pytest.raises(ServiceInitializationError, match="ping method raised an exception: ZeroDivision") as caught:
        service.call()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_failed_start_is_tried_again_and_what_had_started_stays(workshop: Workshop, journal: Journal) -> None:
    troubles = [OSError("no route")]

    def initialize() -> None:
        if troubles:
            raise troubles.pop()

    config = workshop.service("Config")
    queue = workshop.service("Queue", config, initialize=initialize)
    worker = workshop.service("Worker", queue)

    with pytest.raises(ServiceInitializationError) as caught:
        worker.call()
    assert caught.value.service is queue
    assert isinstance(caught.value.__cause__, OSError)
    assert config._initialized

    assert worker.call() == "Worker"
    assert journal.lines == ["+Config", "+Queue", "+Queue", "+Worker"]


def test_setting_initialized_to_false_forces_a_new_start(workshop: Workshop, journal: Journal) -> None:
    service = workshop.service("Service")
    saved = service.call
    service.call()
    service._initialized = False
    assert saved() == "Service"
    assert journal.lines == ["+Service", "+Service"]
    stop()
    assert journal.count("-Service") == 1


def test_setting_initialized_to_true_skips_the_start(workshop: Workshop, journal: Journal) -> None:
    service = workshop.service("Service")
    service._initialized = True
    service.call()
    assert journal.lines == []


def test_replacing_dependencies_by_hand_is_honoured(workshop: Workshop, journal: Journal) -> None:
    a, b = workshop.service("A"), workshop.service("B")
    top = workshop.service("Top", a)
    top._dependencies = {b}
    top.call()
    assert journal.lines == ["+B", "+Top"]


def test_the_initialization_order_can_be_asked_for(workshop: Workshop) -> None:
    a = workshop.service("A")
    b = workshop.service("B", a)
    assert b._get_initialization_order() == [a, b]


def test_a_cycle_is_refused_before_any_hook_runs(workshop: Workshop, journal: Journal) -> None:
    a = workshop.service("A")
    b = workshop.service("B", a)
    c = workshop.service("C", b)
    requires(c)(a)
    with pytest.raises(CircularDependencyError, match="A -> C -> B -> A") as caught:
        a.call()
    assert caught.value.path == (a, c, b, a)
    assert journal.lines == []


def test_a_service_cannot_require_itself() -> None:
    class Service(BaseService): ...

    with pytest.raises(SelfDependencyError, match="Service needs itself"):
        requires(Service)(Service)


@pytest.mark.parametrize("thing", [int, "Config", None, BaseService, object()])
def test_only_services_can_be_required(thing: Any) -> None:
    with pytest.raises(TypeError, match="service classes"):
        requires(thing)


def test_only_services_can_require() -> None:
    class Service(BaseService): ...

    with pytest.raises(TypeError, match="on a service class, and int is none"):
        requires(Service)(int)  # type: ignore[type-var]


def test_services_are_not_instantiable() -> None:
    class Service(BaseService): ...

    with pytest.raises(RuntimeError, match="Service is a service and is not instantiable"):
        Service()


def test_a_hook_that_calls_its_own_guarded_method_gets_a_self_dependency_error() -> None:
    class Service(BaseService):
        @classmethod
        def initialize(cls) -> None:
            cls.call()

        @classmethod
        @guarded
        def call(cls) -> None: ...

    for _ in range(2):
        with pytest.raises(SelfDependencyError) as caught:
            Service.call()
        assert caught.value.service is Service


def test_a_function_named_initialize_may_use_services(workshop: Workshop) -> None:
    service = workshop.service("Service")

    def initialize() -> object:
        return service.call()

    assert initialize() == "Service"


def test_a_ping_may_use_the_services_own_guarded_methods() -> None:
    class Service(BaseService):
        @classmethod
        def ping(cls) -> bool:
            return cls.answer() == 42

        @classmethod
        @guarded
        def answer(cls) -> int:
            return 42

    assert Service.answer() == 42


def test_undeclared_services_that_call_each_other_get_the_path() -> None:
    class Left(BaseService):
        @classmethod
        def initialize(cls) -> None:
            Right.call()

        @classmethod
        @guarded
        def call(cls) -> None: ...

    class Right(BaseService):
        @classmethod
        def initialize(cls) -> None:
            Left.call()

        @classmethod
        @guarded
        def call(cls) -> None: ...

    with pytest.raises(CircularDependencyError, match="Left -> Right -> Left"):
        Left.call()
    assert not Left._initialized
    assert not Right._initialized


def test_a_dependency_that_calls_its_dependent_gets_the_path() -> None:
    class Lower(BaseService):
        @classmethod
        def initialize(cls) -> None:
            Upper.call()

    @requires(Lower)
    class Upper(BaseService):
        @classmethod
        @guarded
        def call(cls) -> None: ...

    with pytest.raises(CircularDependencyError, match="Lower -> Upper -> Lower"):
        Upper.call()


def test_calling_initialize_directly_runs_it_marks_nothing_and_warns_once(
    workshop: Workshop, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    service = workshop.service("DirectlyInitialized")
    service.initialize()
    service.initialize()
    assert not service._initialized
    assert [record.name for record in caplog.records] == ["singleton_service"]
    assert "DirectlyInitialized.initialize() was called directly" in caplog.text
    service.call()
    assert journal.count("+DirectlyInitialized") == 3


def test_calling_super_initialize_is_no_direct_call(caplog: pytest.LogCaptureFixture) -> None:
    class Base(BaseService):
        @classmethod
        def initialize(cls) -> None: ...

    class Child(Base):
        @classmethod
        def initialize(cls) -> None:
            super().initialize()

    start(Child)
    assert caplog.records == []


def test_start_starts_eagerly_and_twice_is_harmless(workshop: Workshop, journal: Journal) -> None:
    a = workshop.service("A")
    b, c = workshop.service("B", a), workshop.service("C", a)
    start(b, c)
    start(c, b)
    assert journal.lines == ["+A", "+B", "+C"]


@pytest.mark.parametrize("use", [start, stop])
def test_only_services_can_be_started_and_stopped(use: Any) -> None:
    with pytest.raises(TypeError, match="expected service classes"):
        use("Config")


def test_ten_thousand_services_in_a_chain_start(workshop: Workshop) -> None:
    last: type[BaseService] | None = None
    for number in range(10_000):
        made = type(f"S{number}", (BaseService,), {})
        last = requires(last)(made) if last is not None else made
    assert last is not None
    start(last)
    assert last._initialized
    stop()
    del last, made
    gc.collect()  # ten thousand classes would slow down whoever looks through all services


def test_hooks_may_be_patched(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    service = workshop.service("Service")
    called: list[str] = []
    monkeypatch.setattr(service, "initialize", lambda: called.append("patched"))
    service.call()
    assert called == ["patched"]


def test_a_hook_may_return_an_awaitable_without_being_async() -> None:
    class Service(BaseService):
        ready = False

        @classmethod
        def initialize(cls) -> Awaitable[None]:
            return cls._open()

        @classmethod
        async def _open(cls) -> None:
            cls.ready = True

    start(Service)
    assert Service.ready


def test_all_errors_of_the_container_have_one_root() -> None:
    for kind in (CircularDependencyError, SelfDependencyError, ServiceInitializationError):
        assert issubclass(kind, ServiceError)
