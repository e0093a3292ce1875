"""Workers under a supervisor, as the command line starts them: real processes, real signals."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.task_queue import TaskQueueService, TaskRequest, TaskStatus
from singleton_service.background.worker import WorkerService
from tests.process_table import is_alive
from tests.system.place import group_exists

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Surroundings
    from tests.system.conftest import Workers

Queue = type[TaskQueueService]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# Where it does not depend on the server.
on_one_engine = pytest.mark.parametrize("surroundings", ["embedded"], indirect=True)


class Supervised:
    """`singleton-service` in a folder with the handlers of programs/worker.py as module `jobs`."""

    def __init__(self, environment: dict[str, str], directory: Path, workers: Workers) -> None:
        shutil.copy(HERE / "programs/worker.py", directory / "jobs.py")
        self.directory = directory
        self._workers = workers
        # No lease ends by itself: who waits for that waits in vain.
        self._environment = {
            **environment,
            "TEST_LOG": str(workers.log),
            "PYTHONPATH": str(ROOT),
            "TASKS_LEASE_SECONDS": "60",
            "PYTHONUNBUFFERED": "1",
        }

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        with self._workers.output.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-W", "error", "-m", "singleton_service", *arguments],
                cwd=self.directory,
                env=self._environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._workers._processes.append(process)
        return process

    def pids(self) -> list[int]:
        """Return who serves now."""
        return [info.pid for info in WorkerService.list_workers() if info.pid != os.getpid()]

    def said(self) -> str:
        return self._workers.said()


@pytest.fixture
def supervised(surroundings: Surroundings, tmp_path: Path, workers: Workers) -> Iterator[Supervised]:
    started = Supervised(surroundings.environment, tmp_path, workers)
    yield started
    # What a test leaves behind must not outlive it, nor the group be killed in vain: they are children of children.
    workers.end()


def pid_at(workers: Workers, word: str, n: object) -> int:
    """Return which process left a line about a task, the latest one."""
    found = [int(pid) for said, name, pid in map(str.split, workers.lines()) if (said, name) == (word, str(n))]
    return found[-1]


def test_tasks_of_a_killed_child_run_again_at_once_and_another_takes_its_place(
    queue: Queue, supervised: Supervised, workers: Workers, until: Any, at_end: Callable[..., int]
) -> None:
    parent = supervised.start("worker", "jobs", "--processes", "2", "--threads", "2")
    until(lambda: len(supervised.pids()) == 2, 30)
    task_id = queue.enqueue_task("sleep_once", {"n": 1, "seconds": 60})
    until(lambda: workers.count("begin"))
    victim = pid_at(workers, "begin", 1)

    os.kill(victim, signal.SIGKILL)

    # Its lease has most of a minute left.
    assert queue.get_result(task_id, timeout=20) != victim
    task = queue.get_task_status(task_id)
    assert task is not None
    assert (task.status, task.retry_count) == (TaskStatus.COMPLETED, 0)
    until(lambda: len(supervised.pids()) == 2)
    said = supervised.said()
    assert re.search(rf"worker [12], pid {victim}, was killed by SIGKILL: by somebody, or by the kernel", said)
    assert len(re.findall("another one is started", said)) == 1
    assert "Traceback" not in said
    parent.terminate()
    assert at_end(parent) == 0
    assert queue.get_queue_stats()["tasks_recovered"] == 1


def test_children_of_a_killed_parent_finish_what_runs_and_end(
    queue: Queue, supervised: Supervised, workers: Workers, until: Any
) -> None:
    parent = supervised.start("worker", "jobs", "--processes", "2", "--threads", "2")
    until(lambda: len(supervised.pids()) == 2, 30)
    children = supervised.pids()
    queue.enqueue_many(TaskRequest("sleep", {"n": n, "seconds": 1}) for n in range(4))
    until(lambda: len(workers.count("begin")) == 4)
    queue.enqueue_task("mark", {"n": "left"})

    parent.kill()

    parent.wait()
    until(lambda: not any(map(is_alive, children)))
    assert len(workers.count("end")) == 4
    stats = queue.get_queue_stats()
    assert (stats["running_tasks"], stats["workers"], stats["tasks_recovered"]) == (0, 0, 0)
    assert stats["tasks_processed"] + stats["pending_tasks"] == 5


def test_a_term_for_the_whole_group_loses_nothing_and_runs_nothing_twice(
    queue: Queue, supervised: Supervised, workers: Workers, until: Any, at_end: Callable[..., int]
) -> None:
    parent = supervised.start("worker", "jobs", "--processes", "4", "--threads", "2")
    until(lambda: len(supervised.pids()) == 4, 30)
    ids = queue.enqueue_many(TaskRequest("sleep", {"n": n, "seconds": 0.5}) for n in range(24))
    until(lambda: len(workers.count("begin")) >= 8)

    os.killpg(parent.pid, signal.SIGTERM)

    assert at_end(parent) == 0
    until(lambda: not group_exists(parent.pid))
    assert workers.count("begin") == workers.count("end"), "what ran has ended"
    assert len(workers.count("end")) < len(ids), "and the rest had not begun"

    assert at_end(supervised.start("worker", "jobs", "--burst", "--processes", "2"), 30) == 0

    assert workers.count("end") == workers.count("begin") == {str(n): 1 for n in range(24)}
    stats = queue.get_queue_stats()
    assert (stats["tasks_processed"], stats["tasks_recovered"], stats["tasks_retried"]) == (24, 0, 0)
    assert "Traceback" not in supervised.said()


@on_one_engine
def test_a_second_ctrl_c_hands_back_what_runs(
    queue: Queue, supervised: Supervised, workers: Workers, until: Any, at_end: Callable[..., int]
) -> None:
    parent = supervised.start("worker", "jobs", "--processes", "2")
    until(lambda: len(supervised.pids()) == 2, 30)
    ids = queue.enqueue_many(TaskRequest("tidy", {"n": n}) for n in range(3))
    until(lambda: len(workers.count("begin")) == 3)

    os.killpg(parent.pid, signal.SIGINT)
    until(lambda: "SIGINT: ending when" in supervised.said())
    os.killpg(parent.pid, signal.SIGINT)

    assert at_end(parent) == 0
    assert len(workers.count("tidied")) == 3
    tasks = [task for each in ids if (task := queue.get_task_status(each))]
    assert [(task.status, task.retry_count) for task in tasks] == [(TaskStatus.PENDING, 0)] * 3
    assert "Traceback" not in supervised.said()


@on_one_engine
def test_a_child_that_has_done_its_tasks_is_replaced_while_the_others_go_on(
    queue: Queue, supervised: Supervised, workers: Workers, until: Any, at_end: Callable[..., int]
) -> None:
    parent = supervised.start("worker", "jobs", "--processes", "2", "--max-tasks-per-child", "20")
    until(lambda: len(supervised.pids()) == 2, 30)
    first = set(supervised.pids())
    number = 0

    def feed() -> bool:
        nonlocal number
        queue.enqueue_many(TaskRequest("sleep", {"n": number + n, "seconds": 0.01}) for n in range(20))
        number += 20
        return len(first & set(supervised.pids())) < 2

    until(feed, 40)
    until(lambda: queue.get_queue_stats()["tasks_processed"] == number, 30)

    parent.terminate()
    assert at_end(parent) == 0
    assert set(workers.count("begin").values()) == {1}
    assert queue.get_queue_stats()["tasks_recovered"] == 0
    assert re.search(r"worker [12], pid \d+, has done \d+ tasks: starting another one in its place", supervised.said())


@on_one_engine
def test_a_child_with_too_much_memory_is_replaced(
    queue: Queue, supervised: Supervised, workers: Workers, until: Any, at_end: Callable[..., int]
) -> None:
    source = (
        "from services.task_queue import task\nkept = []\n@task\ndef leak():\n    kept.append(bytearray(300_000_000))\n"
    )
    (supervised.directory / "leaking.py").write_text(source)
    parent = supervised.start("worker", "leaking", "--max-memory", "280")
    until(supervised.pids, 30)
    (first,) = supervised.pids()

    queue.enqueue_task("leak")

    until(lambda: supervised.pids() and first not in supervised.pids(), 30)
    assert re.search(r"worker, pid \d+, has 3\d\d MB of memory", supervised.said())
    parent.terminate()
    assert at_end(parent) == 0


@on_one_engine
def test_what_cannot_be_imported_is_told_once_and_ends_it(
    queue: Queue, supervised: Supervised, at_end: Callable[..., int]
) -> None:
    assert at_end(supervised.start("worker", "jbs", "--processes", "3")) == 2
    assert supervised.said().count("Error:") == 1
    assert "did you mean 'jobs'" in supervised.said()


@on_one_engine
def test_a_burst_tells_by_its_exit_status_whether_something_failed(
    queue: Queue, supervised: Supervised, workers: Workers, at_end: Callable[..., int]
) -> None:
    source = "from services.task_queue import task\n@task(max_retries=0)\ndef bad():\n    raise ValueError('no')\n"
    (supervised.directory / "bad.py").write_text(source)
    assert at_end(supervised.start("worker", "jobs", "bad", "--burst"), 30) == 0
    queue.enqueue_task("bad")
    queue.enqueue_task("mark", {"n": 1})
    assert at_end(supervised.start("worker", "jobs", "bad", "--burst", "--processes", "2"), 30) == 1
    assert workers.count("mark") == {"1": 1}


@on_one_engine
def test_a_task_that_kills_its_workers_is_given_up_and_the_others_are_done(
    queue: Queue, supervised: Supervised, workers: Workers, at_end: Callable[..., int]
) -> None:
    crash = queue.enqueue_task("crash", {"n": "bad"})
    queue.enqueue_many(TaskRequest("sleep", {"n": n, "seconds": 0.05}) for n in range(50))

    assert at_end(supervised.start("worker", "jobs", "--burst", "--processes", "2"), 60) == 1

    assert workers.count("crash") == {"bad": 3}
    task = queue.get_task_status(crash)
    assert task is not None
    assert (task.status, task.retry_count) == (TaskStatus.FAILED, 0)
    assert "worker lost 3 times" in str(task.error_message)
    assert queue.get_queue_stats()["tasks_processed"] == 50
    assert len(re.findall(r"was killed by SIGKILL", supervised.said())) == 3


@on_one_engine
def test_new_code_is_taken_up_and_broken_code_waited_out(
    queue: Queue, supervised: Supervised, workers: Workers, until: Any, at_end: Callable[..., int]
) -> None:
    module = supervised.directory / "mine.py"
    module.write_text("from services.task_queue import task\n@task\ndef version():\n    return 1\n")
    parent = supervised.start("worker", "mine", "--reload")
    assert queue.get_result(queue.enqueue_task("version"), timeout=30) == 1

    module.write_text("from services.task_queue import task\n@task\ndef version()\n    return 2\n")
    until(lambda: "it is started again when a file changes" in supervised.said(), 30)
    assert "SyntaxError" in supervised.said()
    assert "mine.py changed: starting anew" in supervised.said()
    task_id = queue.enqueue_task("version")
    module.write_text("from services.task_queue import task\n@task\ndef version():\n    return 22\n")

    assert queue.get_result(task_id, timeout=30) == 22
    os.killpg(parent.pid, signal.SIGINT)
    assert at_end(parent) == 0
    until(lambda: not group_exists(parent.pid))


@on_one_engine
@pytest.mark.parametrize("several", [[], ["--processes", "1"]], ids=["one process", "several"])
def test_run_fires_schedules_and_does_their_tasks(
    queue: Queue, supervised: Supervised, until: Any, at_end: Callable[..., int], several: list[str]
) -> None:
    source = "from services.task_queue import task\n@task(schedule='every 1 seconds')\ndef tick():\n    return 1\n"
    (supervised.directory / "ticking.py").write_text(source)
    parent = supervised.start("run", "ticking", *several)
    until(lambda: any(task.result == 1 for task in queue.list_tasks(name="tick").tasks), 30)
    # As a terminal does that is closed; one process has no handler for that, as no Python program has.
    os.killpg(parent.pid, signal.SIGHUP if several else signal.SIGTERM)
    assert at_end(parent) == 0
    until(lambda: not group_exists(parent.pid))
    assert re.search(r"schedules +tick +every", supervised.said())
    assert "Traceback" not in supervised.said()
    assert queue.get_queue_stats()["workers"] == 0
