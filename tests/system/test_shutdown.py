"""How worker processes end: nothing is lost, nothing is charged, and it takes no longer than it may."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.task_queue import TaskQueueService, TaskRequest, TaskStatus
from singleton_service.background.worker import WorkerService

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.system.conftest import Workers

Queue = type[TaskQueueService]

# Where it does not depend on the server.
on_one_engine = pytest.mark.parametrize("surroundings", ["embedded"], indirect=True)
RUNNING = 50
HELD_READY = 100


def test_fifty_running_tasks_and_a_hundred_held_ready_are_neither_lost_nor_charged_by_a_term(
    queue: Queue, workers: Workers, until: Any, at_end: Callable[..., int]
) -> None:
    quick_before = [TaskRequest("mark", {"n": f"before-{n}"}) for n in range(1000)]
    ending = [TaskRequest("sleep", {"n": f"ends-{n}", "seconds": 0.5}) for n in range(RUNNING // 2 - 1)]
    cut_off = [TaskRequest("sleep_once", {"n": f"cut-{n}", "seconds": 60}) for n in range(RUNNING // 2)]
    leaving = [TaskRequest("terminate", {"n": "leaves", "held": RUNNING + HELD_READY, "seconds": 0.5})]
    quick_after = [TaskRequest("mark", {"n": f"after-{n}"}) for n in range(1000)]
    ids = queue.enqueue_many([*quick_before, *ending, *cut_off, *leaving, *quick_after])

    worker = workers.start(threads=RUNNING, timeout=2)

    assert at_end(worker, 30) == 0
    (held,) = map(int, workers.count("held"))
    assert held >= RUNNING + HELD_READY
    assert f"cut off {len(cut_off)}" in workers.said()
    stats = queue.get_queue_stats()
    assert (stats["running_tasks"], stats["workers"], stats["tasks_recovered"]) == (0, 0, 0)
    ended = len(quick_before) + len(ending) + len(leaving)
    assert stats["tasks_processed"] == ended
    assert stats["pending_tasks"] == len(ids) - ended

    workers.start(threads=RUNNING)

    until(lambda: queue.get_queue_stats()["tasks_processed"] == len(ids), 30)
    tasks = [queue.get_task_status(task_id) for task_id in ids]
    assert {(task.status, task.retry_count) for task in tasks if task} == {(TaskStatus.COMPLETED, 0)}
    runs = workers.count("begin") + workers.count("mark")
    assert {n for n, times in runs.items() if times != 1} == {f"cut-{n}" for n in range(len(cut_off))}


@pytest.mark.parametrize("is_impatient", [False, True], ids=["patience is over", "second signal"])
def test_a_handler_that_is_cut_off_cleans_up_before_its_task_begins_elsewhere(
    queue: Queue, workers: Workers, until: Any, at_end: Callable[..., int], *, is_impatient: bool
) -> None:
    names = ["tidy", "tidy_async", "tidy_process"]
    ids = queue.enqueue_many(TaskRequest(name, {"n": name}) for name in names)
    leaver = workers.start(threads=2, timeout=60 if is_impatient else 0.1)
    until(lambda: len(workers.count("begin")) == 3)
    workers.start(threads=2)
    until(lambda: queue.get_queue_stats()["workers"] == 2)

    if is_impatient:
        # To its whole group, the process of the third handler included, as a terminal does at Ctrl-C.
        os.killpg(leaver.pid, signal.SIGINT)
        until(lambda: "Received signal 2" in workers.said())
        os.killpg(leaver.pid, signal.SIGINT)
    else:
        leaver.terminate()

    assert at_end(leaver) == 0
    assert "cut off 3" in workers.said()
    until(lambda: workers.count("begin") == dict.fromkeys(names, 2))
    for name in names:
        words = [word for word, n, _ in map(str.split, workers.lines()) if n == name]
        assert words == ["begin", "tidied", "begin"]
    tasks = [task for task_id in ids if (task := queue.get_task_status(task_id))]
    assert [(task.status, task.retry_count, task.errors) for task in tasks] == [(TaskStatus.RUNNING, 0, ())] * 3


@on_one_engine
def test_services_are_closed_in_reverse_after_the_last_task(
    queue: Queue, workers: Workers, until: Any, at_end: Callable[..., int]
) -> None:
    queue.enqueue_task("Post", {"n": 1, "seconds": 0.5})
    worker = workers.run("needy_worker.py", 0)
    until(lambda: workers.count("begin"))

    worker.terminate()

    assert at_end(worker) == 0
    said = [" ".join(line.split()[:2]) for line in workers.lines()]
    assert said[-4:] == ["begin 1", "end 1", "down Mail", "down Store"]
    assert queue.get_queue_stats()["tasks_processed"] == 1


@on_one_engine
def test_a_signal_that_comes_amid_the_start_ends_it_as_soon_as_that_is_done(
    queue: Queue, workers: Workers, until: Any, at_end: Callable[..., int]
) -> None:
    queue.enqueue_task("Post", {"n": 1, "seconds": 0})
    worker = workers.run("needy_worker.py", 1)
    until(lambda: workers.count("starts"))

    worker.terminate()

    assert at_end(worker) == 0
    assert "cut off 0" in workers.said()
    assert workers.count("down") == {"Mail": 1, "Store": 1}


@on_one_engine
def test_a_second_signal_breaks_off_a_start_that_hangs(
    queue: Queue, workers: Workers, until: Any, at_end: Callable[..., int]
) -> None:
    queue.enqueue_task("Post", {"n": 1, "seconds": 0})
    worker = workers.run("needy_worker.py", 60)
    until(lambda: workers.count("starts"))

    worker.terminate()
    worker.send_signal(signal.SIGINT)  # of two alike the system may deliver one

    assert at_end(worker) == -signal.SIGINT, "as Ctrl-C ends any program"
    assert workers.count("down") == {"Store": 1}, "what had started is closed"
    assert (queue.get_queue_stats()["pending_tasks"], queue.get_queue_stats()["tasks_retried"]) == (1, 0)


def test_all_workers_are_listed_until_they_leave_or_their_lease_has_ended(
    queue: Queue, workers: Workers, until: Any, at_end: Callable[..., int]
) -> None:
    queue.enqueue_many(TaskRequest("sleep", {"n": n, "seconds": 60}) for n in range(2))
    crew = [workers.start(threads=2, timeout=0.1) for _ in range(3)]

    def listed() -> set[int]:
        return {info.pid for info in WorkerService.list_workers()}

    until(lambda: listed() == {process.pid for process in crew})
    until(lambda: sum(info.tasks_running for info in WorkerService.list_workers()) == 2)
    assert len({info.id for info in WorkerService.list_workers()}) == 3

    crew[0].kill()
    crew[1].terminate()

    assert at_end(crew[1]) == 0
    assert crew[1].pid not in listed()
    until(lambda: listed() == {crew[2].pid})
