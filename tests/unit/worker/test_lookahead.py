"""How many tasks are held ready: a quarter of a second of work."""

from __future__ import annotations

import pytest

from singleton_service.background.worker.lookahead import HORIZON_S, MOST, Lookahead


def test_nothing_is_held_ready_until_something_is_known() -> None:
    lookahead = Lookahead(4)
    assert lookahead.tasks == 0
    lookahead.saw([])
    assert lookahead.tasks == 0


@pytest.mark.parametrize(
    ("threads", "run_s", "tasks"),
    [(1, 0.01, 25), (4, 0.01, 100), (4, 0.25, 4), (4, 0.26, 3), (4, 1.1, 0), (1, 0.3, 0), (4, 0.0, MOST)],
)
def test_as_many_as_the_threads_do_in_a_quarter_second(threads: int, run_s: float, tasks: int) -> None:
    lookahead = Lookahead(threads)
    lookahead.saw([run_s] * 3)
    assert lookahead.tasks == tasks


def test_a_single_slow_task_moves_it_a_little_and_many_move_it_all_the_way() -> None:
    lookahead = Lookahead(4)
    lookahead.saw([0.01])
    lookahead.saw([0.06])
    assert lookahead.tasks == 50
    for _ in range(60):
        lookahead.saw([HORIZON_S * 8])
    assert lookahead.tasks == 0


def test_after_a_stall_nothing_is_held_ready_until_a_task_has_finished() -> None:
    lookahead = Lookahead(4)
    lookahead.saw([0.001])
    lookahead.stalled()
    assert lookahead.tasks == 0
    lookahead.saw([0.01])
    assert lookahead.tasks == 100
