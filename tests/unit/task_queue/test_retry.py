"""How long a failed task waits."""

from __future__ import annotations

from singleton_service.background.task_queue.policy import Policy
from singleton_service.background.task_queue.retry import retry_delay_s


def delays(policy: Policy, retries: int = 8, chance: float = 0) -> list[float]:
    return [retry_delay_s(policy, retry, base_s=60, cap_s=3600, chance=chance) for retry in range(1, retries + 1)]


def test_the_default_delays_are_those_documented() -> None:
    assert delays(Policy()) == [120, 240, 480, 960, 1920, 3600, 3600, 3600]


def test_a_tasks_own_delay_is_the_same_each_time_and_has_no_cap() -> None:
    assert delays(Policy(retry_delay_seconds=7200), 3) == [7200, 7200, 7200]
    assert retry_delay_s(Policy(retry_delay_seconds=7200), 50, base_s=60, cap_s=3600) == 7200


def test_a_first_delay_over_the_cap_is_not_cut_by_it() -> None:
    assert delays(Policy(retry_delay_seconds=7200, retry_backoff=True), 3) == [7200, 7200, 7200]


def test_the_policys_own_longest_cuts_them_all() -> None:
    assert delays(Policy(retry_delay_seconds=7200, retry_backoff_max=600), 2) == [600, 600]
    assert delays(Policy(retry_backoff_max=7200), 8)[-3:] == [3840, 7200, 7200]


def test_no_backoff_is_the_default_delay_each_time() -> None:
    assert delays(Policy(retry_backoff=False), 3) == [120, 120, 120]
    assert delays(Policy(retry_backoff=1), 3) == [120, 120, 120]


def test_chance_only_shortens_a_delay() -> None:
    policy = Policy(retry_delay_seconds=100, retry_jitter=0.5)
    assert [delays(policy, 1, chance)[0] for chance in (0, 0.5, 1)] == [100, 75, 50]
    assert delays(Policy(retry_delay_seconds=100, retry_jitter=True), 1, chance=1) == [0]
    assert delays(Policy(retry_delay_seconds=100, retry_jitter=False), 1, chance=1) == [100]


def test_no_delay_is_no_delay() -> None:
    assert retry_delay_s(Policy(retry_delay_seconds=0), 5, base_s=60, cap_s=3600) == 0
    assert retry_delay_s(Policy(), 5, base_s=0, cap_s=3600) == 0
    assert retry_delay_s(Policy(), 5, base_s=60, cap_s=0) == 0


def test_a_millionth_retry_waits_as_long_as_the_cap_says_and_is_reckoned_at_once() -> None:
    assert retry_delay_s(Policy(), 1_000_000, base_s=0.001, cap_s=3600) == 3600
    assert retry_delay_s(Policy(retry_delay_seconds=0, retry_backoff=9), 1_000_000, base_s=60, cap_s=3600) == 0
