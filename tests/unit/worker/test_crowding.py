"""When a queue is asked again in which tasks were left for want of a place."""

from __future__ import annotations

import pytest

from singleton_service.background.worker.crowding import Crowding


def test_a_queue_where_nothing_was_left_is_never_quiet() -> None:
    crowding = Crowding()
    crowding.left("default", [], 0, took_any=False)
    assert crowding.queues == []
    assert crowding.quiet_s(0) == {}


def test_what_was_left_is_asked_for_when_its_lane_has_room() -> None:
    crowding = Crowding()
    crowding.left("default", ["thread"], 0, took_any=True)
    assert crowding.queues == ["default"]
    assert not crowding.has_room("default", {"thread": 0, "async": 100})
    assert crowding.has_room("default", {"thread": 1, "async": 0})
    crowding.forget("default")
    assert crowding.queues == []


def test_a_look_for_nothing_is_not_repeated_at_once() -> None:
    crowding = Crowding()
    crowding.left("default", ["thread"], 10, took_any=False)
    crowding.left("low", ["thread"], 10, took_any=True)
    assert crowding.quiet_s(10) == {"default": pytest.approx(0.005)}
    assert crowding.quiet_s(10.006) == {}
    crowding.forget("default")
    assert crowding.quiet_s(10) == {}, "there is room again"


def test_what_went_back_is_asked_for_as_well() -> None:
    crowding = Crowding()
    crowding.turned_away("default", {"async"})
    crowding.turned_away("default", {"thread"})
    assert crowding.has_room("default", {"thread": 1})
    assert crowding.has_room("default", {"async": 1})
    assert crowding.quiet_s(0) == {}
    crowding.left("default", [], 0, took_any=True)
    assert crowding.queues == []
