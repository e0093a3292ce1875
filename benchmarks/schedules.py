"""Is each instant one task, however schedulers die? How late is it? What do schedules cost that only wait?

Several scheduler processes have the same schedules: for an eighth of the time one of a second, so that the system is
idle; then many of a second and five of cron's. For another eighth they are left alone; then one of the processes is
killed, every few seconds, and started again at once. In the end each instant that was due must be exactly one task.
Lateness is the server's time at which a task went in, less its instant. Nobody works.
Then one process has schedules that are not due, and its processor time is measured.

    python -m benchmarks.schedules [--redis URL] [--seconds 120] [--schedules 200] [--schedulers 3] [--kill-every 10]
                                   [--idle 10000] [--idle-seconds 20]

Without `--redis`: on an embedded server of its own, in a temporary directory. Nothing is left behind on either.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import redis

from benchmarks.throughput import describe, surroundings
from services.scheduler import SchedulerService
from services.task_queue import TaskQueueError, TaskQueueService
from singleton_service import stop
from singleton_service.background.scheduler.definition import fire_task_id
from singleton_service.exceptions import ServiceError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

CRON = ("* * * * *", "*/2 * * * *", "0-59 * * * *", "*/1 0-23 * * *", "* * * * SUN-SAT")
QUIET = 0.125
# What was due at the end is seen in this time, or missing.
GRACE_MS = 5000
SPAWN = multiprocessing.get_context("spawn")


def schedule() -> None:
    """Be a scheduler, until killed."""
    SchedulerService.run_forever()


def wait_idly(answers: Connection, seconds: float) -> None:
    """Be a scheduler with nothing to do; tell which part of a core that took."""
    SchedulerService.start_scheduler()
    loop = SchedulerService._firing
    assert loop is not None
    total = SchedulerService.get_scheduler_stats()["total_jobs"]
    began_s = time.process_time()
    while len(loop.timetable.jobs) < total:
        time.sleep(0.05)
    loaded_s = time.process_time() - began_s
    time.sleep(1)  # what came while it read
    began, began_s = time.monotonic(), time.process_time()
    time.sleep(seconds)
    answers.send((loaded_s, (time.process_time() - began_s) / (time.monotonic() - began)))
    stop()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was due in a stretch of time, and what became of it."""

    due: int
    tasks: int
    missing: int
    double: int
    late_ms: list[int]

    def line(self, name: str) -> str:
        """Return it as a line of the table."""
        late = sorted(self.late_ms) or [0]
        shares = (late[min(len(late) - 1, int(len(late) * part))] for part in (0, 0.5, 0.99, 1))
        counts = f"{self.due:>9,}{self.tasks:>9,}{self.missing:>9}{self.double:>8}"
        return f"{name:<13}{counts}" + "".join(f"{share:>8}" for share in shares)


class Schedulers:
    """Processes that are killed and started again."""

    def __init__(self, count: int) -> None:
        self._processes = [self._start() for _ in range(count)]
        self.killed = 0

    @staticmethod
    def _start() -> SpawnProcess:
        process = SPAWN.Process(target=schedule)
        process.start()
        return process

    def kill_one(self) -> None:
        """Kill the one that has lived longest, and start another."""
        eldest = self._processes.pop(0)
        eldest.kill()
        eldest.join()
        self._processes.append(self._start())
        self.killed += 1

    def end(self) -> None:
        """Stop them all."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()


def server_ms(client: Any) -> int:
    seconds, us = client.time()
    return int(seconds) * 1000 + int(us) // 1000


def make_schedules(count: int, cron: Sequence[str]) -> dict[str, list[int]]:
    """Make them; return the instants of each for the next day, as far as they may be looked at here."""
    ids = [SchedulerService.schedule_task("tick", {"n": n}, "every second", id=f"tick-{n}") for n in range(count)]
    ids += [SchedulerService.schedule_task("tick", {}, each, id=f"cron-{n}") for n, each in enumerate(cron)]
    return {each: [round(run.timestamp() * 1000) for run in SchedulerService.next_runs(each, 1000)] for each in ids}


def judge(client: Any, instants: dict[str, list[int]], since_ms: int, until_ms: int) -> Outcome:
    """Compare what was due from one moment up to another with the tasks that there are."""
    namespace = os.environ["TASKS_NAMESPACE"]
    went_in = {
        uid.decode(): int(at) for uid, at in client.zrange(f"{namespace}:{{default}}:seen", 0, -1, withscores=True)
    }
    due = {(each, ms) for each, all_ms in instants.items() for ms in all_ms if since_ms < ms <= until_ms}
    found: Counter[tuple[str, int]] = Counter()
    cursor = None
    while True:
        page = TaskQueueService.list_tasks(limit=1000, cursor=cursor)
        for task in page.tasks:
            if task.schedule_id in instants and task.scheduled_for is not None:
                found[task.schedule_id, round(task.scheduled_for.timestamp() * 1000)] += 1
        cursor = page.cursor
        if cursor is None:
            break
    late = [went_in[f"={fire_task_id(*each)}"] - each[1] for each in due if f"={fire_task_id(*each)}" in went_in]
    tasks = sum(count for each, count in found.items() if each in due)
    return Outcome(len(due), tasks, len(due - found.keys()), sum(found[each] > 1 for each in due), late)


def measure(seconds: float, schedules: int, schedulers: int, kill_every: float) -> bool:
    with redis.Redis.from_url(TaskQueueService.server_url()) as client:
        alone = make_schedules(1, ())
        running = Schedulers(schedulers)
        try:
            # Until all are there: a process takes a second to start on a busy machine.
            while client.zcard(f"{os.environ['TASKS_NAMESPACE']}:{{schedules}}:declarers") < schedulers:
                time.sleep(0.05)
            time.sleep(2)
            begin_ms = server_ms(client)
            time.sleep(max(1.0, seconds * QUIET))
            idle_ms = server_ms(client)
            instants = make_schedules(schedules, CRON)
            # Made now, some are due already.
            time.sleep(1)
            quiet_ms = server_ms(client)
            time.sleep(max(1.0, seconds * QUIET))
            middle_ms = server_ms(client)
            while (left_s := seconds - (server_ms(client) - begin_ms) / 1000) > kill_every:
                time.sleep(kill_every)
                running.kill_one()
            time.sleep(max(0.0, left_s))
            end_ms = server_ms(client)
            patient_until_ms = end_ms + GRACE_MS
            while judge(client, instants, end_ms - 2000, end_ms).missing and server_ms(client) < patient_until_ms:
                time.sleep(0.2)
        finally:
            running.end()
        idle = judge(client, alone, begin_ms, idle_ms)
        quiet = judge(client, instants, quiet_ms, middle_ms)
        deadly = judge(client, instants, middle_ms, end_ms)
        print(
            f"{schedulers} schedulers, {schedules} schedules of a second, {len(CRON)} of cron, {running.killed} kills\n"
        )
        columns = (
            ("due", 9),
            ("tasks", 9),
            ("missing", 9),
            ("double", 8),
            ("least", 8),
            ("p50", 8),
            ("p99", 8),
            ("most", 8),
        )
        print(" " * 13 + "".join(f"{name:>{width}}" for name, width in columns) + "  ms late")
        print(idle.line("idle"), quiet.line("left alone"), deadly.line("being killed"), sep="\n")
        for each in instants:
            SchedulerService.unschedule(each)
        return all(stretch.missing + stretch.double == 0 for stretch in (idle, quiet, deadly))


def measure_idle(count: int, seconds: float) -> None:
    for n in range(count):
        SchedulerService.schedule_task("tick", {"n": n}, f"0 0 {1 + n % 28} {1 + n % 12} *", id=f"idle-{n}")
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=wait_idly, args=(theirs, seconds))
    process.start()
    loaded_s, share = ours.recv()
    process.join()
    print(f"\n{count:,} schedules that are not due: {share:.2%} of a core; read at the start in {loaded_s:.2f} s of it")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--redis", metavar="URL", help="measure on this server; its other keys are left alone")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--schedules", type=int, default=200)
    parser.add_argument("--schedulers", type=int, default=3)
    parser.add_argument("--kill-every", type=float, default=10, help="seconds")
    parser.add_argument("--idle", type=int, default=10_000, help="schedules that are not due; 0 leaves that out")
    parser.add_argument("--idle-seconds", type=float, default=20)
    given = parser.parse_args()
    try:
        with surroundings(given.redis):
            os.environ.update(TASKS_SCHEDULER_HEALTH_CHECK="false")
            print(*describe(), sep="\n")
            is_sound = measure(given.seconds, given.schedules, given.schedulers, given.kill_every)
            if given.idle:
                measure_idle(given.idle, given.idle_seconds)
    except (ServiceError, TaskQueueError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    if not is_sound:
        sys.exit("an instant was missing, or was two tasks")


if __name__ == "__main__":
    main()
