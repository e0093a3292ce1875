"""The checker finds what it is there to find: whoever finds nothing must be able to."""

from __future__ import annotations

from typing import Any

from .checker import Verdict, judge
from .journal import Entry

ENQUEUED = [("attempt", [1, 2, 3], 0), ("ack", [1, 2], ["q.a", "q.b"]), ("unknown", [3], "away")]
RUN = [("begin", 1), ("end", 1), ("begin", 2), ("end", 2)]


def judged(lines: list[tuple[Any, ...]], ended: dict[str, int], processed: int | None = None) -> Verdict:
    entries = [Entry(float(n), "p", line[0], line[1:]) for n, line in enumerate(lines)]
    tasks = [{"id": task_id, "n": n, "status": "completed", "retries": 0} for task_id, n in ended.items()]
    return judge(entries, tasks, {"tasks_processed": len(tasks) if processed is None else processed})


def test_all_is_well_when_what_was_acknowledged_has_ended() -> None:
    verdict = judged([*ENQUEUED, *RUN], {"q.a": 1, "q.b": 2})
    assert (verdict.attempted, verdict.acknowledged, verdict.unknown, verdict.recovered) == (3, 2, 1, 0)
    assert verdict.faults() == {}


def test_an_unknown_task_that_ran_was_recovered() -> None:
    verdict = judged([*ENQUEUED, *RUN, ("begin", 3)], {"q.a": 1, "q.b": 2, "q.c": 3})
    assert verdict.recovered == 1
    assert verdict.faults() == {}


def test_an_acknowledged_task_nobody_did_is_lost() -> None:
    verdict = judged([*ENQUEUED, ("begin", 1), ("end", 1)], {"q.a": 1})
    assert verdict.lost == (2,)
    assert set(verdict.faults()) == {"lost", "forgotten"}


def test_a_task_that_was_done_and_is_not_known_is_forgotten_not_lost() -> None:
    verdict = judged([*ENQUEUED, *RUN], {"q.a": 1})
    assert (verdict.lost, verdict.forgotten) == ((), (2,))


def test_a_task_nobody_attempted_is_unexpected() -> None:
    assert "never attempted" in judged([*ENQUEUED, *RUN, ("begin", 9)], {"q.a": 1, "q.b": 2}).faults()["unexpected"]


def test_one_attempt_that_became_two_tasks_is_unexpected() -> None:
    assert "more than once" in judged([*ENQUEUED, *RUN], {"q.a": 1, "q.b": 2, "q.c": 2}).faults()["unexpected"]


def test_a_second_run_is_counted_and_borne() -> None:
    verdict = judged([*ENQUEUED, *RUN, ("begin", 2), ("begin", 2)], {"q.a": 1, "q.b": 2})
    assert verdict.duplicated_runs == 2
    assert verdict.faults() == {}


def test_two_ends_that_counted_are_found_by_either_witness() -> None:
    by_server = judged([*ENQUEUED, *RUN], {"q.a": 1, "q.b": 2}, processed=3)
    told = [("settled", "q.a", True), ("settled", "q.a", False), ("settled", "q.a", True)]
    by_loops = judged([*ENQUEUED, *RUN, *told], {"q.a": 1, "q.b": 2})
    assert by_server.completed_twice == by_loops.completed_twice == 1
    assert set(by_server.faults()) == {"completed twice"}
