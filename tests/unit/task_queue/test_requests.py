"""What an enqueue leaves open is said by the task's own policy, else by the default."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from singleton_service.background.task_queue import TaskPriority, TaskRequest
from singleton_service.background.task_queue.codec import decode_body
from singleton_service.background.task_queue.handlers import Handler, HandlerRegistry
from singleton_service.background.task_queue.mould import Fire
from singleton_service.background.task_queue.policy import Policy
from singleton_service.background.task_queue.requests import PreparedTask, prepare, prepare_many

CAREFUL = Policy(max_retries=9, retry_delay_seconds=1, queue="critical", priority=TaskPriority.HIGH)


def prepared(policy: Policy | None = None, /, fire: Fire | None = None, **arguments: Any) -> PreparedTask:
    handlers = HandlerRegistry()
    if policy:
        handlers.register(Handler("job", print, policy))
    return prepare(TaskRequest(**{"name": "job", **arguments}), handlers, 1000, fire)


def told(task: PreparedTask) -> tuple[str, int, int]:
    """Return queue, priority, retries."""
    return task.queue, int(task.body[1:2]), decode_body(task.body)["m"]


def test_an_unknown_task_has_the_defaults() -> None:
    assert told(prepared()) == ("default", TaskPriority.NORMAL, 3)


def test_a_task_with_an_empty_policy_has_the_defaults() -> None:
    assert told(prepared(Policy())) == ("default", TaskPriority.NORMAL, 3)


def test_a_tasks_own_policy_comes_before_the_defaults() -> None:
    assert told(prepared(CAREFUL)) == ("critical", TaskPriority.HIGH, 9)


def test_what_the_caller_says_comes_before_the_policy() -> None:
    task = prepared(CAREFUL, queue="low", priority=TaskPriority.NORMAL, max_retries=3)
    assert told(task) == ("low", TaskPriority.NORMAL, 3)


def test_zero_is_said_and_not_left_open() -> None:
    assert told(prepared(CAREFUL, priority=TaskPriority.LOW, max_retries=0)) == ("critical", 0, 0)
    assert told(prepared(Policy(max_retries=0, priority=TaskPriority.LOW))) == ("default", 0, 0)


def test_the_id_is_told_before_anything_is_sent() -> None:
    task = prepared(task_id="invoice-1", queue="low")
    assert (task.uid, task.id) == ("=invoice-1", "low.=invoice-1")
    assert int(prepared(CAREFUL).uid[0], 36) % 4 == 2, "an id of ours begins with the priority"


@pytest.mark.parametrize(
    ("arguments", "when"),
    [
        ({}, b"0"),
        ({"delay_seconds": 0}, b"0"),
        ({"delay_seconds": 1.5}, b"+1500"),
        ({"delay_seconds": 0.0004}, b"+0"),
        ({"eta": datetime(2030, 1, 1, tzinfo=UTC)}, b"=1893456000000"),
        ({"eta": datetime(2030, 1, 1, tzinfo=UTC), "delay_seconds": 0}, b"=1893456000000"),
    ],
)
def test_when_is_told_in_milliseconds_of_the_servers_clock(arguments: dict[str, Any], when: bytes) -> None:
    assert prepared(**arguments).when == when


def test_a_delay_and_a_time_are_one_too_many() -> None:
    with pytest.raises(ValueError, match="pass one of them"):
        prepared(eta=datetime(2030, 1, 1, tzinfo=UTC), delay_seconds=1)


def test_a_fire_is_written_into_the_body() -> None:
    fields = decode_body(prepared(fire=Fire("nightly", 1000)).body)
    assert (fields["s"], fields["f"]) == ("nightly", 1000)


def test_the_limit_is_of_the_payload() -> None:
    prepared(payload={"x": "y" * 990})
    with pytest.raises(ValueError, match="TASKS_MAX_PAYLOAD_BYTES"):
        prepared(payload={"x": "y" * 993})


def test_a_call_like_the_one_before_is_the_same_but_for_payload_and_id() -> None:
    first, second = (prepared(payload={"n": n}, queue="low", timeout=2.5, tags=("a",)) for n in (1, 2))
    assert (first.queue, first.when) == (second.queue, second.when)
    assert first.uid != second.uid
    first_fields, second_fields = decode_body(first.body), decode_body(second.body)
    assert (first_fields.pop("p"), second_fields.pop("p")) == ({"n": 1}, {"n": 2})
    assert first_fields == second_fields == {"n": "job", "m": 3, "t": 2500, "g": ["a"]}


@pytest.mark.parametrize("wrong", [{"max_retries": True}, {"delay_seconds": False}, {"timeout": True}])
def test_what_equals_the_call_before_is_checked_all_the_same(wrong: dict[str, Any]) -> None:
    right: dict[str, Any] = {name: int(value) for name, value in wrong.items()}
    prepared(**right)
    with pytest.raises(TypeError, match=next(iter(wrong))):
        prepared(**wrong)


def test_a_list_of_tags_may_be_changed_and_given_again() -> None:
    tags = ["a"]
    assert decode_body(prepared(tags=tags).body)["g"] == ["a"]
    tags.append("b")
    assert decode_body(prepared(tags=tags).body)["g"] == ["a", "b"]


def test_a_policy_counts_from_its_registration_on() -> None:
    assert told(prepared()) == ("default", TaskPriority.NORMAL, 3)
    assert told(prepared(CAREFUL)) == ("critical", TaskPriority.HIGH, 9)
    assert told(prepared()) == ("default", TaskPriority.NORMAL, 3)


def test_of_many_each_has_an_id_of_its_own_priority_or_its_own_name() -> None:
    requests = [TaskRequest("job", priority=priority) for priority in TaskPriority for _ in range(400)]
    tasks = prepare_many([*requests, TaskRequest("job", task_id="a")], HandlerRegistry(), 1000)
    assert [int(task.uid[0], 36) % 4 for task in tasks[:-1]] == [request.priority for request in requests]
    assert tasks[-1].uid == "=a"
    assert len({task.uid for task in tasks}) == len(tasks)


def test_other_words_than_in_the_call_before_are_another_task() -> None:
    assert told(prepared(queue="low"))[0] == "low"
    assert told(prepared(queue="high"))[0] == "high"
    assert decode_body(prepared(unique_key="a").body)["u"] == "a"
    assert decode_body(prepared(unique_key="b").body)["u"] == "b"
    assert prepared(delay_seconds=1).when == b"+1000"
    assert prepared(delay_seconds=2).when == b"+2000"
