"""Errors are records: they say what to do, and arrive whole in another process."""

from __future__ import annotations

import copy
import pickle

import pytest

from singleton_service.background.task_queue import (
    DiscoveryError,
    DurabilityError,
    DurabilityUnavailableError,
    EnqueueError,
    NotAcceptingError,
    PermanentError,
    ProtocolVersionError,
    QueueFullError,
    QueueUnavailableError,
    Retry,
    TaskFailedError,
    TaskNotFoundError,
    TaskQueueError,
)

ERRORS = [
    (TaskQueueError("the server refused"), "the server refused"),
    (QueueUnavailableError("redis://:***@h:6379/0", "refused"), "redis://:***@h:6379/0 is not available: refused"),
    (NotAcceptingError(), "call TaskQueueService.resume_accepting_tasks() first"),
    (QueueFullError("low", 10_000, 10_002), "queue 'low' holds 10,002 tasks that have not started"),
    (EnqueueError(["default.=a", "default.=b"], "gone"), "2 tasks were enqueued, the rest were not: gone"),
    (EnqueueError(["default.=a"], "gone", ["default.=a"]), "1 tasks were enqueued"),
    (DurabilityError(["default.=a"], "0 of 1 replicas had it"), "task 'default.=a' is enqueued and will run"),
    (DurabilityError(["default.=a", "default.=b"], "late"), "2 tasks are enqueued and will run"),
    (
        DurabilityUnavailableError("disk", "Redis 7.0.15 at redis://h:6379/0", "no WAITAOF", "Upgrade it."),
        "durability 'disk' can't be had from Redis 7.0.15 at redis://h:6379/0: no WAITAOF. Nothing was enqueued.",
    ),
    (ProtocolVersionError("default", 9, 1), "protocol 9, this version knows 1"),
    (TaskFailedError("default.=a", "no such file"), "task 'default.=a' failed: no such file"),
    (TaskNotFoundError("default.=a"), "task 'default.=a' is unknown"),
    (DiscoveryError("shop", {"shop.bad": "SyntaxError: x"}), "1 modules of 'shop' can't be used"),
    (PermanentError("no such address"), "no such address"),
    (Retry(5, "too busy"), "too busy"),
    (Retry(reason="too busy"), "too busy"),
    (Retry(delay_seconds=5), "the handler asked for it"),
]


@pytest.mark.parametrize(("error", "says"), ERRORS, ids=lambda value: type(value).__name__)
def test_an_error_says_what_happened_to_what(error: TaskQueueError, says: str) -> None:
    assert says in str(error)
    assert isinstance(error, TaskQueueError)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("error", [error for error, _ in ERRORS], ids=lambda error: type(error).__name__)
def test_an_error_survives_the_way_to_another_process(error: TaskQueueError, protocol: int) -> None:
    error.add_note("request number 3")
    for other in (pickle.loads(pickle.dumps(error, protocol)), copy.copy(error)):
        assert type(other) is type(error)
        assert str(other) == str(error)
        assert vars(other) == vars(error)
