from __future__ import annotations

import pytest

from singleton_service.background.task_queue.outage import backoff_s


@pytest.mark.parametrize("failures", [0, 3, 10, 10_000])
def test_a_server_that_is_back_is_found_within_a_second_however_long_it_was_away(failures: int) -> None:
    assert min(backoff_s(failures) for _ in range(100)) > 0
    assert max(backoff_s(failures) for _ in range(100)) < 1


def test_the_first_waits_are_short_and_each_is_longer_than_the_last() -> None:
    assert backoff_s(0) <= 0.05
    assert [backoff_s(failures) < backoff_s(failures + 2) for failures in range(3)] == [True] * 3
