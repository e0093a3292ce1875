"""The same work in threads and in processes: which is faster, and by how much, is measured.

    python examples/hashing.py [ROUNDS]

Each task hashes a hash, again and again, as one does to make passwords hard to guess. It is Python that computes, so
the threads of one process take turns. Each result depends on every round, so both ways must come to the same ones.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import time
from typing import TYPE_CHECKING

from services.task_queue import TaskQueueError, task
from services.worker import WorkerService
from singleton_service import stop

if TYPE_CHECKING:
    from collections.abc import Callable

    from services.task_queue import TaskHandle

TASKS = 8
ROUNDS = 400_000
PATIENCE_S = 300


def stretch(word: str, rounds: int) -> str:
    """Hash a word, and what comes of it, *rounds* times."""
    digest = word.encode()
    for _ in range(rounds):
        digest = hashlib.sha256(digest).digest()
    return digest.hex()


@task
def stretch_in_thread(word: str, rounds: int) -> str:
    """Do it in a thread of the worker."""
    return stretch(word, rounds)


@task(execution="process")
def stretch_in_process(word: str, rounds: int) -> str:
    """Do it in a process of its own."""
    return stretch(word, rounds)


def main() -> int:
    """Measure both; return the exit status."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    logging.basicConfig(level=logging.WARNING)
    at_once = min(os.cpu_count() or 1, TASKS)
    os.environ["TASKS_PROCESSES"] = str(at_once)  # as many as threads, to be fair
    WorkerService.start_workers(at_once)
    try:
        # The processes start with the first tasks, which is not what is to be compared.
        start_s, _ = measure(stretch_in_process.enqueue, rounds // 10)
        print(f"{at_once} processes are there after {start_s:.2f} s.")
        threads_s, by_threads = measure(stretch_in_thread.enqueue, rounds)
        print(f"{TASKS} tasks of {rounds:,} rounds in {at_once} threads:   {threads_s:.2f} s")
        processes_s, by_processes = measure(stretch_in_process.enqueue, rounds)
        print(f"{TASKS} tasks of {rounds:,} rounds in {at_once} processes: {processes_s:.2f} s")
    except (TaskQueueError, TimeoutError) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        stop()
    if by_threads != by_processes:
        print("They came to different results.", file=sys.stderr)
        return 1
    print(f"The results are the same, and processes were {threads_s / processes_s:.2f} times as fast.")
    return 0


def measure(enqueue: Callable[..., TaskHandle], rounds: int) -> tuple[float, list[str]]:
    """Return how long all tasks took, in seconds, and their results."""
    began = time.perf_counter()
    handles = [enqueue(word=f"word {n}", rounds=rounds) for n in range(TASKS)]
    results = [handle.get(timeout=PATIENCE_S) for handle in handles]
    return time.perf_counter() - began, results


if __name__ == "__main__":
    sys.exit(main())
