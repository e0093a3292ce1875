"""Which queue to ask next, and how long there is nothing to ask for."""

from __future__ import annotations

import math

from singleton_service.background.task_queue.order import QueueOrder
from singleton_service.background.worker.feeds import Feeds

QUEUES = ("critical", "default", "low")


def empty_feeds() -> Feeds:
    """Feeds that have found every queue empty."""
    feeds = Feeds(QueueOrder(QUEUES))
    for queue in QUEUES:
        feeds.found(queue, 1, full=False, next_s=None, now=0)
    return feeds


def test_at_first_every_queue_is_asked_in_order() -> None:
    feeds = Feeds(QueueOrder(QUEUES))
    asked = []
    while (queue := feeds.best(0)) is not None:
        asked.append(queue)
        feeds.found(queue, 1, full=False, next_s=None, now=0)
    assert asked == list(QUEUES)


def test_a_queue_that_gave_all_that_was_asked_for_is_asked_again() -> None:
    feeds = Feeds(QueueOrder(QUEUES))
    feeds.found("critical", 1, full=True, next_s=None, now=0)
    assert feeds.best(0) == "critical"


def test_an_empty_queue_is_not_asked_again_by_itself() -> None:
    feeds = empty_feeds()
    assert feeds.best(1e9) is None
    assert feeds.wait_s(0) == math.inf


def test_a_token_makes_its_queue_hopeful() -> None:
    feeds = empty_feeds()
    feeds.hope("low")
    assert feeds.best(0) == "low"
    feeds.hope("default")
    assert feeds.best(0) == "default", "the order is strict"


def test_a_due_time_is_waited_for_and_then_asked_about() -> None:
    feeds = empty_feeds()
    feeds.found("low", 1, full=False, next_s=5, now=100)
    feeds.found("default", 1, full=False, next_s=7, now=100)
    assert feeds.wait_s(101) == 4
    assert feeds.best(104.9) is None
    assert feeds.best(105) == "low"
    feeds.found("low", 1, full=False, next_s=None, now=105)
    assert feeds.wait_s(105) == 2


def test_a_due_time_that_has_come_is_asked_about_once() -> None:
    feeds = empty_feeds()
    feeds.due_in("low", 0, now=10)
    assert feeds.wait_s(10) == 0
    assert feeds.best(10) == "low"
    feeds.found("low", 1, full=False, next_s=None, now=10)
    assert feeds.best(11) is None


def test_a_heartbeat_may_bring_a_time_nearer_and_never_further() -> None:
    feeds = empty_feeds()
    feeds.found("low", 1, full=False, next_s=5, now=0)
    feeds.due_in("low", 9, now=0)
    assert feeds.wait_s(0) == 5
    feeds.due_in("low", 2, now=0)
    assert feeds.wait_s(0) == 2


def test_a_fetch_knows_best_when_the_next_task_is_due() -> None:
    feeds = empty_feeds()
    feeds.due_in("low", 2, now=0)
    feeds.found("low", 1, full=False, next_s=9, now=0)
    assert feeds.wait_s(0) == 9


def test_a_missed_wake_up_makes_all_hopeful() -> None:
    feeds = empty_feeds()
    feeds.hope_all()
    assert feeds.best(0) == "critical"


def test_those_above_that_nobody_listens_for_are_named() -> None:
    feeds = empty_feeds()
    feeds.hope("low")
    assert feeds.unheard("low") == ["critical", "default"]
    feeds.hope("critical")
    assert feeds.unheard("low") == ["default"]
    assert feeds.unheard("critical") == []


WEIGHTED = QueueOrder(QUEUES, (6, 3, 1))


def test_by_weight_each_queue_with_work_has_its_turns() -> None:
    feeds = Feeds(WEIGHTED)
    taken = []
    for _ in range(10):
        queue = feeds.best(0)
        assert queue is not None
        taken.append(queue)
        feeds.found(queue, 1, full=True, next_s=None, now=0)
    assert [taken.count(queue) for queue in QUEUES] == [6, 3, 1]


def test_by_weight_a_turn_is_a_share_of_the_room_among_those_with_work() -> None:
    feeds = Feeds(WEIGHTED)
    assert feeds.share("critical", 100) == 60
    feeds.found("critical", 0, full=False, next_s=None, now=0)
    assert [feeds.share(queue, 100) for queue in ("default", "low")] == [75, 25]
    assert Feeds(QueueOrder(QUEUES)).share("low", 100) == 100


def test_by_weight_all_others_may_go_unheard_and_none_overtakes() -> None:
    feeds = Feeds(WEIGHTED)
    for queue in QUEUES:
        feeds.found(queue, 0, full=False, next_s=None, now=0)
    feeds.hope("critical")
    assert feeds.unheard("critical") == ["default", "low"]
    assert set(feeds.ranks.values()) == {0}
    assert Feeds(QueueOrder(QUEUES)).ranks == {"critical": 0, "default": 1, "low": 2}
