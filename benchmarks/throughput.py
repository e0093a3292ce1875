"""How many tasks go in, how many come out, and how soon does an idle worker start one?

One process enqueues, another one works: 8 threads, or coroutines on its loop, results kept. In each repeat tasks are
enqueued one at a time, then in bulk, with nobody working; then the worker is told to begin, and the drain ends when the
status of the last task can be read. At last the worker is idle and single tasks are timed, from before `enqueue_task`
is called until the handler runs. A first repeat warms up and is not counted.

    python benchmarks/throughput.py [--redis URL] [--repeats 5] [--tasks 10000] [--coroutines]

Without `--redis`: on an embedded server of its own, in a temporary directory. Nothing is left behind on either.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import random
import shutil
import statistics
import sys
import tempfile
import time
import uuid
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis

from services.config import ConfigService
from services.task_queue import TaskQueueError, TaskQueueService, TaskRequest
from services.worker import WorkerService
from singleton_service import stop
from singleton_service.background.engine.locks import LockFile
from singleton_service.background.engine.supervisor import SUPERVISOR_LOCK
from singleton_service.exceptions import ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

PAYLOAD = {"recipient": "user@example.com", "subject": "Welcome!", "body": "x" * 64}
THREADS = 8
PATIENCE_S = 120.0


def send_email(_payload: dict[str, Any]) -> dict[str, str]:
    return {"status": "sent"}


def tell_the_time(_payload: dict[str, Any]) -> float:
    return time.monotonic()  # one clock for all processes of a machine


async def send_email_async(payload: dict[str, Any]) -> dict[str, str]:
    return send_email(payload)


async def tell_the_time_async(payload: dict[str, Any]) -> float:
    return tell_the_time(payload)


def work(orders: Connection, coroutines: bool) -> None:  # noqa: FBT001 - an argument of a process
    """Begin and pause as told; end with whoever tells."""
    TaskQueueService.register_handler("send_email", send_email_async if coroutines else send_email)
    TaskQueueService.register_handler("tell_the_time", tell_the_time_async if coroutines else tell_the_time)
    TaskQueueService.ping()
    orders.send("ready")
    try:
        while True:
            if orders.recv() == "begin":
                WorkerService.start_workers(THREADS)
            else:
                WorkerService.stop_workers()
                orders.send("paused")
    except (EOFError, KeyboardInterrupt):
        stop()


def one_repeat(orders: Connection, tasks: int, singles: int, samples: int) -> dict[str, float]:
    """Return what one repeat measured, by the name of its line."""
    done_before = TaskQueueService.get_queue_stats()["tasks_processed"]

    began_s = time.perf_counter()
    for _ in range(singles):
        TaskQueueService.enqueue_task("send_email", PAYLOAD)
    singles_s = time.perf_counter() - began_s

    began_s = time.perf_counter()
    ids = TaskQueueService.enqueue_many(TaskRequest("send_email", PAYLOAD) for _ in range(tasks))
    bulk_s = time.perf_counter() - began_s

    began_s = time.perf_counter()
    orders.send("begin")
    TaskQueueService.get_result(ids[-1], timeout=PATIENCE_S)
    # The last one in need not be the last one out.
    while TaskQueueService.get_queue_stats()["tasks_processed"] < done_before + singles + tasks:
        if time.perf_counter() - began_s > PATIENCE_S:
            raise TimeoutError("the worker does not finish")
    drain_s = time.perf_counter() - began_s

    waits_ms = sorted(pick_up_ms() for _ in range(samples))
    orders.send("pause")
    orders.recv()
    return {
        "enqueue/s, one at a time": singles / singles_s,
        "enqueue/s, in bulk": tasks / bulk_s,
        "drain/s": (singles + tasks) / drain_s,
        "pick-up p50, ms": statistics.median(waits_ms),
        "pick-up p99, ms": waits_ms[int(len(waits_ms) * 0.99)],
    }


def pick_up_ms() -> float:
    """Return how long an idle worker takes to start one task."""
    time.sleep(random.uniform(0.002, 0.010))  # until it sleeps, and never in step with anything
    asked_s = time.monotonic()
    task_id = TaskQueueService.enqueue_task("tell_the_time", PAYLOAD)
    began_s: float = TaskQueueService.get_result(task_id, timeout=PATIENCE_S)
    return (began_s - asked_s) * 1000


@contextmanager
def surroundings(redis_url: str | None) -> Iterator[None]:
    """Let this process and its children see only this server and this namespace, and clean up after them."""
    directory = Path(tempfile.mkdtemp(prefix="bench-"))
    namespace = f"{directory.name}-{uuid.uuid4().hex[:8]}"
    for name in [name for name in os.environ if name.startswith("TASKS_") or name == "REDIS_URL"]:
        del os.environ[name]
    os.environ.update(TASKS_NAMESPACE=namespace, TASKS_DATA_DIR=str(directory))
    if redis_url:
        os.environ["REDIS_URL"] = redis_url
    os.chdir(directory)  # no .env of anybody's
    try:
        yield
    finally:
        stop()
        if redis_url:
            # Not there, or no address at all: then there is nothing to clean up.
            with suppress(redis.ConnectionError, ValueError), redis.Redis.from_url(redis_url) as client:
                for key in client.scan_iter(f"{namespace}:*", count=1000):
                    client.unlink(key)
        supervisor = LockFile(directory / SUPERVISOR_LOCK)
        while not supervisor.try_alone():
            time.sleep(0.01)
        supervisor.close()
        os.chdir("/")
        shutil.rmtree(directory)


@contextmanager
def worker_process(*, coroutines: bool) -> Iterator[Connection]:
    """Have a process that works when told to."""
    context = multiprocessing.get_context("spawn")
    orders, theirs = context.Pipe()
    process = context.Process(target=work, args=(theirs, coroutines))
    process.start()
    theirs.close()
    try:
        orders.recv()
        yield orders
    finally:
        orders.close()
        process.join()


def describe() -> Iterator[str]:
    cpu = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = cpu.partition("model name\t: ")[2].partition("\n")[0] or platform.processor()
    yield f"{model}, {os.cpu_count()} cores, {platform.platform()}"
    packages = ("singleton-service", "redis", "hiredis")
    yield ", ".join([f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in packages)])
    with redis.Redis.from_url(TaskQueueService.server_url()) as client:
        said: dict[str, Any] = client.info()
    name, number = said.get("server_name", "redis"), said.get("valkey_version", said["redis_version"])
    kept = "append-only file" if said["aof_enabled"] else "no append-only file"
    if not ConfigService.get("redis_url"):
        kept = f"embedded, unix socket, {kept} with fsync {ConfigService.get('embedded_fsync')}"
    yield f"server: {name} {number}, {kept}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--redis", metavar="URL", help="measure on this server; its other keys are left alone")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tasks", type=int, default=10_000, help="in bulk; a fifth as many one at a time")
    parser.add_argument("--samples", type=int, default=500, help="single tasks timed per repeat")
    parser.add_argument("--coroutines", action="store_true", help="handlers are `async def`")
    given = parser.parse_args()
    try:
        with surroundings(given.redis):
            measure(given.repeats, given.tasks, max(1, given.tasks // 5), given.samples, coroutines=given.coroutines)
    except (ServiceError, TaskQueueError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def measure(repeats: int, tasks: int, singles: int, samples: int, *, coroutines: bool) -> None:
    print(*describe(), sep="\n")  # all or nothing: without a server there is nothing to say
    print(f"{repeats} repeats: {singles} tasks one at a time, {tasks} in bulk, all of them drained")
    workers = "coroutines" if coroutines else f"{THREADS} threads"
    print(f"by one process of {workers}, results kept; then {samples} single tasks, worker idle\n")
    with worker_process(coroutines=coroutines) as orders:
        measured = [one_repeat(orders, tasks, singles, samples) for _ in range(1 + repeats)][1:]
    print(f"{'':26}    median       min       max")
    for name in measured[0]:
        values, digits = [one[name] for one in measured], 2 if name.endswith("ms") else 0
        print(f"{name:26}", *(f"{take(values):>9,.{digits}f}" for take in (statistics.median, min, max)))


if __name__ == "__main__":
    main()
