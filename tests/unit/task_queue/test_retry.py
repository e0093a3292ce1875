"""How long a failed task waits."""

from __future__ import annotations

import pytest

from singleton_service.background.task_queue.retry import retry_delay_s


def test_the_default_delays_are_those_documented() -> None:
    delays = [retry_delay_s(retry, base_s=60, cap_s=3600) for retry in range(1, 9)]
    assert delays == [120, 240, 480, 960, 1920, 3600, 3600, 3600]


@pytest.mark.parametrize("retry", [1, 2, 50])
def test_a_tasks_own_delay_is_the_same_each_time_and_has_no_cap(retry: int) -> None:
    assert retry_delay_s(retry, base_s=60, cap_s=3600, fixed_s=7200) == 7200


def test_no_delay_is_no_delay() -> None:
    assert retry_delay_s(5, base_s=60, cap_s=3600, fixed_s=0) == 0
    assert retry_delay_s(5, base_s=0, cap_s=3600) == 0
    assert retry_delay_s(5, base_s=60, cap_s=0) == 0


def test_a_millionth_retry_waits_as_long_as_the_cap_says_and_is_reckoned_at_once() -> None:
    assert retry_delay_s(1_000_000, base_s=0.001, cap_s=3600) == 3600
