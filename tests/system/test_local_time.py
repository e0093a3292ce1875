"""A naive datetime is the caller's local time, whatever zone the caller, the worker and the server are in."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from singleton_service.background.task_queue import TaskQueueService

if TYPE_CHECKING:
    from tests.conftest import Surroundings

PROGRAM = Path(__file__).with_name("programs") / "local_times.py"
NEW_YORK = {
    "2036-01-15T09:00": "2036-01-15T14:00",
    "2036-07-15T09:00": "2036-07-15T13:00",
    # The night of 9 March has no 02:30: it is what the clock would show, had nobody set it.
    "2036-03-09T02:30": "2036-03-09T07:30",
    # The night of 2 November has two: the first unless fold=1 says the second.
    "2036-11-02T01:30": "2036-11-02T05:30",
    "2036-11-02T01:30/1": "2036-11-02T06:30",
    # An aware one is what it says.
    "2036-07-15T09:00+02:00": "2036-07-15T07:00",
}
TOKYO = {
    "2036-01-15T09:00": "2036-01-15T00:00",
    "2036-07-15T09:00": "2036-07-15T00:00",
    "2036-03-09T02:30": "2036-03-08T17:30",
    "2036-07-15T09:00+02:00": "2036-07-15T07:00",
}


@pytest.mark.parametrize(
    ("zone", "times"), [("America/New_York", NEW_YORK), ("Asia/Tokyo", TOKYO)], ids=["New York", "Tokyo"]
)
def test_a_naive_time_is_the_callers_local_time(surroundings: Surroundings, zone: str, times: dict[str, str]) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", PROGRAM, *times],
        env={**surroundings.environment, "TZ": zone},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.stderr == ""
    assert dict(zip(times, ran.stdout.splitlines(), strict=True)) == {
        given: f"{meant}:00+00:00" for given, meant in times.items()
    }


@pytest.mark.usefixtures("surroundings")
@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
def test_a_task_due_by_a_local_clock_is_due_for_a_worker_in_another_zone(
    zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        soon = TaskQueueService.enqueue_task("x", eta=datetime.now() + timedelta(seconds=0.2))  # noqa: DTZ005 - naive
        later = TaskQueueService.enqueue_task("x", eta=datetime.now() + timedelta(seconds=600))  # noqa: DTZ005 - naive
        monkeypatch.setenv("TZ", "Pacific/Auckland")
        time.tzset()
        task = TaskQueueService.get_next_task(timeout=10)
        assert task is not None
        assert task.id == soon
        assert TaskQueueService.get_next_task(timeout=0) is None
        waiting = TaskQueueService.get_task_status(later)
        assert waiting is not None
        assert waiting.eta is not None
        assert 590 < waiting.eta.timestamp() - time.time() < 601
    finally:
        monkeypatch.undo()
        time.tzset()
