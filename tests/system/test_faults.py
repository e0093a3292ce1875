"""Nothing acknowledged is lost, whoever is killed; each test kills somebody, on every engine."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

from singleton_service.background.task_queue import TaskQueueService, TaskRequest, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.system.conftest import Workers

Queue = type[TaskQueueService]


def all_are(queue: Queue, ids: list[str], status: TaskStatus) -> bool:
    return all((task := queue.get_task_status(task_id)) and task.status is status for task_id in ids)


def test_tasks_of_a_killed_worker_run_again_and_none_is_lost(queue: Queue, workers: Workers, until: Any) -> None:
    long = [queue.enqueue_task("sleep", {"n": n, "seconds": 60}) for n in range(2)]
    ids = queue.enqueue_many([TaskRequest("mark", {"n": n}) for n in range(200)])
    first = workers.start(threads=4)
    until(lambda: queue.get_queue_stats()["tasks_processed"] == 200 and len(workers.count("begin")) == 2)
    first.kill()
    first.wait()
    workers.start(threads=4)
    # Within lease (2 s) + beat + 1 s, and a margin for a busy machine.
    until(lambda: workers.count("begin") == {"0": 2, "1": 2}, 20)
    until(lambda: all_are(queue, ids, TaskStatus.COMPLETED))
    running = queue.get_task_status(long[0])
    assert running is not None
    assert (running.status, running.retry_count) == (TaskStatus.RUNNING, 0)
    assert queue.get_queue_stats()["tasks_recovered"] == 2


def test_what_was_acknowledged_runs_once_though_workers_are_killed_all_the_time(
    queue: Queue, workers: Workers, until: Any
) -> None:
    ids = queue.enqueue_many([TaskRequest("sleep", {"n": n, "seconds": 0.02}) for n in range(300)])
    for round_number in range(3):
        worker = workers.start(threads=4)
        until(lambda done=(round_number + 1) * 40: sum(workers.count("end").values()) >= done)
        worker.kill()
        worker.wait()
    finished = {
        task_id for task_id in ids if (task := queue.get_task_status(task_id)) and task.status is TaskStatus.COMPLETED
    }
    runs_before = workers.count("begin")
    workers.start(threads=8)
    until(lambda: all_are(queue, ids, TaskStatus.COMPLETED), 40)
    runs = workers.count("begin")
    assert set(runs) == {str(n) for n in range(300)}
    for n, task_id in enumerate(ids):
        if task_id in finished:
            assert runs[str(n)] == runs_before[str(n)], "ran again after its acknowledgement"
    assert queue.get_queue_stats()["tasks_processed"] == 300


def test_a_stopped_worker_that_wakes_up_late_changes_nothing(queue: Queue, workers: Workers, until: Any) -> None:
    task_id = queue.enqueue_task("sleep", {"n": 1, "seconds": 1})
    first = workers.start(threads=1)
    until(lambda: workers.count("begin")["1"] == 1)
    first.send_signal(signal.SIGSTOP)
    second = workers.start(threads=1)
    until(lambda: workers.count("begin")["1"] == 2, 20)
    until(lambda: all_are(queue, [task_id], TaskStatus.COMPLETED))
    result = queue.get_task_status(task_id)
    first.send_signal(signal.SIGCONT)
    until(lambda: "its outcome was refused" in workers.said())
    assert queue.get_task_status(task_id) == result
    assert result is not None
    assert result.worker_id is not None
    assert f":{second.pid}:" in result.worker_id
    assert queue.get_queue_stats()["tasks_processed"] == 1
    # It is a worker again, not a ghost.
    second.kill()
    again = queue.enqueue_task("mark", {"n": 7})
    until(lambda: all_are(queue, [again], TaskStatus.COMPLETED))


def test_a_task_that_kills_its_worker_is_buried_and_its_neighbours_complete(
    queue: Queue, workers: Workers, until: Any
) -> None:
    poison = queue.enqueue_task("crash", {"n": 0})
    innocent = queue.enqueue_many([TaskRequest("sleep", {"n": n, "seconds": 0.05}) for n in range(1, 20)])
    process = workers.start(threads=4)

    def buried() -> bool:
        nonlocal process
        if process.poll() is not None:
            process = workers.start(threads=4)
        return all_are(queue, [poison], TaskStatus.FAILED)

    until(buried, 60)
    assert workers.count("crash") == {"0": 3}
    task = queue.get_task_status(poison)
    assert task is not None
    assert task.error_message is not None
    assert "worker lost 3 times" in task.error_message
    assert task.retry_count == 0
    until(lambda: all_are(queue, innocent, TaskStatus.COMPLETED), 30)


def test_a_busy_handler_cannot_starve_the_heartbeat(queue: Queue, workers: Workers, until: Any) -> None:
    # Twice as long as a lease, in pure Python, in more threads than there are processors.
    ids = [queue.enqueue_task("spin", {"n": n, "seconds": 4}) for n in range(4)]
    workers.start(threads=4)
    workers.start(threads=1)
    until(lambda: all_are(queue, ids, TaskStatus.COMPLETED), 60)
    assert set(workers.count("begin").values()) == {1}
    assert queue.get_queue_stats()["tasks_recovered"] == 0


def test_term_lets_running_tasks_end_and_leaves_the_rest(
    queue: Queue, workers: Workers, until: Any, at_end: Callable[..., int]
) -> None:
    ids = [queue.enqueue_task("sleep", {"n": n, "seconds": 0.7}) for n in range(6)]
    worker = workers.start(threads=2)
    until(lambda: len(workers.count("begin")) == 2)
    worker.terminate()
    assert at_end(worker) == 0
    assert "Received signal 15, shutting down workers..." in workers.said()
    assert "cut off 0" in workers.said()
    assert workers.count("begin") == workers.count("end")
    statuses = [task.status for task_id in ids if (task := queue.get_task_status(task_id))]
    assert statuses.count(TaskStatus.COMPLETED) == 2
    assert statuses.count(TaskStatus.PENDING) == 4


def test_a_second_signal_hands_back_at_once_and_uncounted(
    queue: Queue, workers: Workers, until: Any, at_end: Callable[..., int]
) -> None:
    task_id = queue.enqueue_task("sleep", {"n": 1, "seconds": 60})
    worker = workers.start(threads=2)
    until(lambda: workers.count("begin")["1"] == 1)
    worker.send_signal(signal.SIGINT)
    until(lambda: "Received signal 2" in workers.said())
    worker.send_signal(signal.SIGINT)
    assert at_end(worker) == 0
    assert "cut off 1" in workers.said()
    task = queue.get_task_status(task_id)
    assert task is not None
    assert (task.status, task.retry_count) == (TaskStatus.PENDING, 0)
    assert queue.get_queue_stats()["workers"] == 0


def test_the_end_of_the_patience_hands_back_what_still_runs(
    queue: Queue, workers: Workers, until: Any, at_end: Callable[..., int]
) -> None:
    task_id = queue.enqueue_task("sleep", {"n": 1, "seconds": 60})
    worker = workers.start(threads=1, timeout=0.2)
    until(lambda: workers.count("begin")["1"] == 1)
    worker.terminate()
    assert at_end(worker) == 0
    assert "cut off 1" in workers.said()
    workers.start(threads=1)
    until(lambda: workers.count("begin")["1"] == 2)
    task = queue.get_task_status(task_id)
    assert task is not None
    assert task.status is TaskStatus.RUNNING


def test_a_held_task_of_a_killed_own_loop_goes_on_elsewhere(queue: Queue, workers: Workers, until: Any) -> None:
    """The lease of get_next_task is kept by the process alone; when that stops, another gets the task."""
    task_id = queue.enqueue_task("mark", {"n": 5})
    task = queue.get_next_task(timeout=5)
    assert task is not None
    workers.start()
    until(lambda: queue.get_queue_stats()["workers"] == 2)
    assert workers.count("mark") == {}
    heartbeat = queue._open_heartbeat()
    # As the death of this process: it beats no more, and does not sign off.
    heartbeat._stopping.set()
    heartbeat._hurry.set()
    until(lambda: all_are(queue, [task_id], TaskStatus.COMPLETED), 20)
    assert queue.complete_task(task, "late") is False
