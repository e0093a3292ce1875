"""Which queues are taken in which order, as one may say it, and whose turn it is."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from singleton_service.background.task_queue.order import DEFAULT_ORDER, QueueOrder, Turns, queue_order

WEIGHTED = QueueOrder(("critical", "default", "low"), (6, 3, 1))


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (None, DEFAULT_ORDER),
        ("default", QueueOrder(("default",))),
        ("critical,default,low", QueueOrder(("critical", "default", "low"))),
        (" critical , low ", QueueOrder(("critical", "low"))),
        (["b", "a", "b"], QueueOrder(("b", "a"))),
        (iter(["b", "a"]), QueueOrder(("b", "a"))),
        ("critical:6,default:3,low:1", WEIGHTED),
        ("critical: 6, default:3 ,low :1", WEIGHTED),
        (["critical:6", "default:3", "low:1"], WEIGHTED),
        ({"critical": 6, "default": 3, "low": 1}, WEIGHTED),
        ("one:1", QueueOrder(("one",), (1,))),
    ],
)
def test_an_order_is_said_in_several_ways(said: Any, meant: QueueOrder) -> None:
    assert queue_order(said) == meant


@pytest.mark.parametrize("order", [DEFAULT_ORDER, WEIGHTED])
def test_an_order_shows_itself_as_it_may_be_said(order: QueueOrder) -> None:
    assert queue_order(str(order)) == order


@pytest.mark.parametrize(
    ("said", "error", "shows"),
    [
        (5, TypeError, "queues 5 is of type int"),
        (b"default", TypeError, "of type bytes"),
        ("", ValueError, "queues '' is empty"),
        ([], ValueError, "empty"),
        ({}, ValueError, "empty"),
        ("a,,b", ValueError, "'a,,b': queue '' is not a queue name"),
        ("a;b", ValueError, "queue 'a;b' is not a queue name"),
        ([5], ValueError, "queue 5 is not a queue name"),
        ("a:6,b", ValueError, "'b' has no weight"),
        (["a:6", 7], ValueError, "7 has no weight"),
        ("a:6,b:", ValueError, "weight '' of 'b:'"),
        ("a:six", ValueError, "weight 'six' of 'a:six'"),
        ("a:6:3", ValueError, "weight '6:3'"),
        ("a:-1", ValueError, "weight '-1'"),
        ("a:1.5", ValueError, r"weight '1\.5'"),
        ("a:0", ValueError, "weight 0 is out of range: a whole number from 1 to 1,000"),
        ("a:1001", ValueError, "weight 1001"),
        ("b/c:1", ValueError, "queue 'b/c'"),
        ("a:1,a:2", ValueError, "names 'a' twice"),
        ({"a": 0}, ValueError, "weight 0"),
        ({"a": True}, ValueError, "weight True"),
        ({"a": "6"}, ValueError, "weight '6'"),
        ({"a b": 1}, ValueError, "queue 'a b'"),
    ],
)
def test_what_can_not_be_an_order_is_refused_and_the_part_shown(said: Any, error: type[Exception], shows: str) -> None:
    with pytest.raises(error, match=shows):
        queue_order(said)


def take(turns: Turns, number: int, has_work: tuple[str, ...] = WEIGHTED.names, at_once: int = 1) -> list[str]:
    """Take turns of so many tasks, and return whose they were."""
    taken = []
    for _ in range(number):
        queue = turns.sorted(name for name in turns.order.names if name in has_work)[0]
        turns.took(queue, at_once)
        taken.append(queue)
    return taken


def test_strict_order_is_always_the_same() -> None:
    turns = Turns(DEFAULT_ORDER)
    assert take(turns, 5) == ["critical"] * 5
    assert turns.sorted(["default", "low"]) == ["default", "low"]
    assert turns.share("low", ["critical", "low"], 100) == 100


def test_ten_turns_are_shared_by_weight_and_spread() -> None:
    turns = Turns(WEIGHTED)
    for _ in range(20):
        ten = take(turns, 10)
        assert Counter(ten) == {"critical": 6, "default": 3, "low": 1}
        assert "criticalcriticalcriticalcritical" not in "".join(ten), "smooth"


def test_what_is_shared_is_tasks_not_turns() -> None:
    turns = Turns(WEIGHTED)
    taken: Counter[str] = Counter()
    for n in range(3000):
        queue = turns.sorted()[0]
        number = 1 + (n * 7) % 50
        turns.took(queue, number)
        taken[queue] += number
    total = sum(taken.values())
    for queue, share in zip(WEIGHTED.names, (0.6, 0.3, 0.1), strict=True):
        assert abs(taken[queue] / total - share) < 0.01


def test_the_share_of_a_queue_without_work_goes_to_the_others() -> None:
    assert Counter(take(Turns(WEIGHTED), 80, ("default", "low"))) == {"default": 60, "low": 20}


def test_a_queue_that_had_no_work_has_saved_nothing_up() -> None:
    turns = Turns(WEIGHTED)
    take(turns, 1000, ("critical", "default"))
    assert take(turns, 10).count("low") == 1


def test_the_lightest_queue_waits_for_no_more_than_its_share() -> None:
    turns = Turns(QueueOrder(("heavy", "light"), (1000, 1)))
    taken = take(turns, 5000, ("heavy", "light"))
    assert 4 <= taken.count("light") <= 6


def test_a_turn_fills_only_a_part_of_the_room_and_at_least_one_place() -> None:
    turns = Turns(WEIGHTED)
    assert [turns.share(queue, WEIGHTED.names, 100) for queue in WEIGHTED.names] == [60, 30, 10]
    assert turns.share("low", WEIGHTED.names, 3) == 1
    assert turns.share("low", ["low"], 100) == 100
