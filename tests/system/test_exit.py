"""How a script ends that has workers."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from singleton_service.background.task_queue import TaskStatus

if TYPE_CHECKING:
    from singleton_service.background.task_queue import TaskQueueService
    from tests.conftest import Surroundings

PROGRAMS = Path(__file__).with_name("programs")


def start(surroundings: Surroundings, program: str, *arguments: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", PROGRAMS / program, *map(str, arguments)],
        env=surroundings.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_script_waits_for_the_task_that_runs_and_says_so(
    queue: type[TaskQueueService], surroundings: Surroundings
) -> None:
    out, err = start(surroundings, "script.py", 0.5).communicate(timeout=60)
    assert out == "begin\nend\n"
    assert err == "waiting up to 30 s for 1 running tasks to end; Ctrl-C hands them back now\n"
    assert queue.get_queue_stats()["tasks_processed"] == 1


def test_ctrl_c_at_the_end_hands_the_task_back_uncounted(
    queue: type[TaskQueueService], surroundings: Surroundings
) -> None:
    process = start(surroundings, "script.py", 60)
    assert process.stderr is not None
    assert "Ctrl-C hands them back" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Traceback" not in err
    assert "was handed back" in err
    (task,) = queue.list_tasks().tasks
    assert (task.status, task.retry_count) == (TaskStatus.PENDING, 0)
    stats = queue.get_queue_stats()
    assert (stats["tasks_recovered"], stats["workers"]) == (0, 0)


def test_a_second_ctrl_c_amid_a_stop_hands_back_and_leaves(
    queue: type[TaskQueueService], surroundings: Surroundings
) -> None:
    task_id = queue.enqueue_task("sleep", {"seconds": 60})
    process = start(surroundings, "until_empty.py")
    assert process.stdout is not None
    assert process.stdout.readline() == "begin\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "stopping\n"
    process.send_signal(signal.SIGINT)

    _, err = process.communicate(timeout=30)

    assert process.returncode == -signal.SIGINT
    assert "waiting up to" not in err, "the end of the process waits no more"
    task = queue.get_task_status(task_id)
    assert task is not None
    assert (task.status, task.retry_count) == (TaskStatus.PENDING, 0)
    stats = queue.get_queue_stats()
    assert (stats["tasks_recovered"], stats["workers"]) == (0, 0)
