"""Errors are records: they survive pickling, name the service and say what to try."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service import BaseService
from singleton_service.exceptions import (
    CircuitOpenError,
    CircularDependencyError,
    DependencyNotInitializedError,
    SelfDependencyError,
    ServiceError,
    ServiceInitializationError,
    ServiceNotInitializedError,
    ServiceShutdownError,
)

if TYPE_CHECKING:
    from .conftest import Workshop


class Importable(BaseService):
    """A service that can be found by its name."""


def travelled(error: Any) -> Any:
    return pickle.loads(pickle.dumps(error))


ERRORS = [
    ServiceError("words"),
    CircularDependencyError((Importable, BaseService, Importable)),
    SelfDependencyError(Importable),
    ServiceInitializationError(Importable, (BaseService, Importable), "initialize() raised OSError"),
    ServiceNotInitializedError(Importable, Importable),
    DependencyNotInitializedError(Importable, BaseService),
    CircuitOpenError("Payments.breaker", 12.5, "ConnectionError: gone"),
    ServiceShutdownError("2 services failed", [OSError("one"), ValueError("two")]),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_survive_pickling_with_their_facts_and_notes(error: ServiceError) -> None:
    error.add_note("a note")
    copy = travelled(error)
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert copy.__notes__ == ["a note"]
    assert getattr(copy, "service", None) == getattr(error, "service", None)
    assert getattr(copy, "path", None) == getattr(error, "path", None)


def test_an_error_about_a_local_class_travels_with_its_name() -> None:
    class Local(BaseService): ...

    copy = travelled(SelfDependencyError(Local))
    assert copy.service == "Local"
    assert str(copy) == str(SelfDependencyError(Local))


def test_a_failed_start_names_service_path_cause_and_what_to_try(workshop: Workshop) -> None:
    def initialize() -> None:
        raise ConnectionRefusedError("port 6379")

    config = workshop.service("Config")
    queue = workshop.service("Queue", config, initialize=initialize)
    worker = workshop.service("Worker", queue)
    with pytest.raises(ServiceInitializationError) as caught:
        worker.call()
    text = str(caught.value)
    assert "Failed to initialize Queue (needed by: Worker -> Queue)" in text
    assert "ConnectionRefusedError: port 6379" in text
    assert "the next call tries again" in text
    assert caught.value.path == (worker, queue)


def test_a_missing_requires_works_and_is_pointed_out_once(workshop: Workshop, caplog: pytest.LogCaptureFixture) -> None:
    config = workshop.service("Config")

    def use_twice() -> None:
        config.call()
        config.call()

    queue = workshop.service("Queue", initialize=use_twice)
    assert queue.call() == "Queue"
    assert [record.name for record in caplog.records] == ["singleton_service"]
    assert "@requires(Config)" in caplog.text
    assert "class Queue" in caplog.text


def test_a_declared_dependency_used_in_a_hook_is_not_pointed_out(
    workshop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    config = workshop.service("Config")
    middle = workshop.service("Middle", config)
    workshop.service("Queue", middle, initialize=config.call).call()
    assert caplog.records == []


def test_a_split_shutdown_error_keeps_its_kind() -> None:
    group = ServiceShutdownError("2 services failed", [OSError("one"), ValueError("two")])
    matching, rest = group.split(OSError)
    assert type(matching) is ServiceShutdownError
    assert type(rest) is ServiceShutdownError
