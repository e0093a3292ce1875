"""The main job: thumbnails, word counts and checksums of a folder, done by background workers.

    python examples/main.py [FOLDER] [--output DIR]

Run it again: what is done is kept. Kill it in the middle, even with -9: the next run finishes the rest.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from pathlib import Path

import jobs
from plan import Ticket, enqueue, find_files, plan_jobs, plan_report
from screen import OneLineHandler, Row, console, progress, show_table
from services.config import ConfigService
from services.scheduler import SchedulerService
from services.task_queue import TaskFailedError, TaskQueueError, TaskQueueService, TaskStatus
from services.worker import WorkerService
from singleton_service import stop
from singleton_service.background.config import mask_url
from singleton_service.exceptions import ServiceError

HERE = Path(__file__).resolve().parent
STOCK_TAKING = "examples-take-stock"
SCHEDULE_DEADLINE_S = 15.0


def main() -> int:
    """Do the main job; return the exit status: 0 only if everything is done."""
    folder, output = _arguments()
    logging.basicConfig(level=logging.WARNING, handlers=[OneLineHandler()])
    files = find_files(folder, output)
    if not files:
        print(f"There is no file in {folder}.", file=sys.stderr)
        return 2
    try:
        return _work(files, folder, output)
    except (TaskQueueError, ServiceError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. Nothing is lost: run it again to finish the rest.", file=sys.stderr)
        return 130
    finally:
        SchedulerService.stop_scheduler()
        WorkerService.stop_workers()
        stop()


def _work(files: list[Path], folder: Path, output: Path) -> int:
    WorkerService.start_workers(num_workers=4)
    SchedulerService.start_scheduler()
    stock_log = output / "stock.log"
    stock_before = _lines(stock_log)
    SchedulerService.schedule_task(jobs.take_stock.name, {"output": str(output)}, "every 2 seconds", id=STOCK_TAKING)

    tickets = enqueue(plan_jobs(files, folder, output))
    _say_what_was_found(tickets, folder)
    problems = _wait(tickets, before=0, after=1)
    if not problems:
        report = enqueue([plan_report(tickets, folder, output)])
        problems = _wait(report, before=len(tickets), after=0)
        tickets += report

    stock_takings = _wait_for_stock_taking(stock_log, stock_before)
    SchedulerService.unschedule(STOCK_TAKING)

    rows = _count(tickets, output)
    unfired = int(not stock_takings)
    rows.append(Row("take_stock", _short(stock_log), stock_takings, stock_before, failed=unfired))
    show_table(rows)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems or not stock_takings else 0


def _say_what_was_found(tickets: list[Ticket], folder: Path) -> None:
    done = sum(ticket.is_done for ticket in tickets)
    left = sum(not ticket.is_new and not ticket.is_done for ticket in tickets)
    console.print(f"{len(tickets)} tasks for the files in {_short(folder)}, and a report on them")
    console.print(f"Queue: {_where_the_queue_is()}", soft_wrap=True)
    if done:
        console.print(f"{done} of them were done by an earlier run: kept.")
    if left:
        console.print(f"{left} of them were left unfinished by an earlier run: going on.")


def _where_the_queue_is() -> str:
    settings = ConfigService.get_config()
    if settings.redis_url:
        return mask_url(TaskQueueService.server_url())
    return f"embedded server, data kept in {settings.resolved_data_dir()}"


def _wait(tickets: list[Ticket], before: int, after: int) -> list[str]:
    problems = []
    # Those due later come last, so that the count moves on while they wait.
    waiting = sorted((t for t in tickets if not t.is_done), key=lambda ticket: ticket.job.delay_seconds)
    with progress(before + len(tickets) + after, before + len(tickets) - len(waiting)) as advance:
        for ticket in waiting:
            try:
                TaskQueueService.get_result(ticket.task_id, timeout=None)
            except TaskFailedError as error:
                problems.append(f"{ticket.job.kind} of {ticket.job.name}: {error.error_message}")
            advance(f"{ticket.job.kind} {ticket.job.name}")
    return problems


def _wait_for_stock_taking(log: Path, before: int) -> int:
    deadline = time.monotonic() + SCHEDULE_DEADLINE_S
    while _lines(log) == before and time.monotonic() < deadline:
        time.sleep(0.05)
    return _lines(log) - before


def _count(tickets: list[Ticket], output: Path) -> list[Row]:
    where = {
        "thumbnail": _short(output / "thumbnails"),
        "word_count": _short(output / "report.md"),
        "sha256": _short(output / "report.md"),
        "catalogue": _short(output / "catalogue.csv"),
        "write_report": _short(output / "report.md"),
    }
    rows = {kind: Row(kind, where[kind]) for kind in where if any(t.job.kind == kind for t in tickets)}
    for ticket in tickets:
        row = rows[ticket.job.kind]
        task = TaskQueueService.get_task_status(ticket.task_id)
        if ticket.is_done:
            row.kept += 1
            continue
        row.retries += task.retry_count if task else 0
        if task and task.status is TaskStatus.COMPLETED:
            row.done += 1
        else:
            row.failed += 1
    return list(rows.values())


def _short(path: Path) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _arguments() -> tuple[Path, Path]:
    parser = argparse.ArgumentParser(description="Thumbnails, word counts and checksums, done by background workers.")
    parser.add_argument("folder", nargs="?", type=Path, default=HERE / "data", help="default: examples/data")
    parser.add_argument("--output", type=Path, default=Path("output"), help="where results go; default: ./output")
    given = parser.parse_args()
    if not given.folder.is_dir():
        parser.error(f"{given.folder} is not a folder")
    return given.folder.resolve(), given.output.resolve()


if __name__ == "__main__":
    sys.exit(main())
