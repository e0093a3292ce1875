"""From a folder to tasks: which work each file needs, and which of it an earlier run has done."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from jobs import write_whole
from services.task_queue import Task, TaskQueueService, TaskRequest, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

PHOTOGRAPHS = {".jpg", ".jpeg", ".png", ".gif", ".webp", ".tif", ".tiff", ".bmp"}
TEXTS = {".txt", ".md", ".rst"}


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work. `identity` is all that its result depends on; `makes` the file it leaves, if any."""

    kind: str
    name: str
    payload: dict[str, Any]
    identity: str
    delay_seconds: float = 0
    makes: Path | None = None

    def task_id(self, generation: int) -> str:
        """Return the id that every run gives to this work: so it is done once, however often we start."""
        digest = hashlib.sha256(f"{self.identity}\0{generation}".encode()).hexdigest()
        return f"{self.kind}-{digest[:32]}"


@dataclass(frozen=True, slots=True)
class Ticket:
    """A job in the queue. `is_new` is False when an earlier run enqueued it."""

    job: Job
    task_id: str
    is_new: bool
    is_done: bool


def find_files(folder: Path, output: Path) -> list[Path]:
    """List the files of a folder and its subfolders, without hidden ones and without our own output."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and output not in path.parents
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def plan_jobs(files: list[Path], folder: Path, output: Path) -> list[Job]:
    """Decide what is to be done: thumbnails, word counts a second later, checksums, one catalogue of all."""
    jobs = [job for path in files for job in _file_jobs(path, folder, output)]
    everything = "\0".join(job.identity for job in jobs)
    names = output / "names.json"
    write_whole(names, json.dumps([path.relative_to(folder).as_posix() for path in files]).encode())
    target = output / "catalogue.csv"
    payload = {"folder": str(folder), "names": str(names), "target": str(target)}
    jobs.append(Job("catalogue", target.name, payload, f"catalogue\0{everything}", delay_seconds=2, makes=target))
    return jobs


def plan_report(tickets: Iterable[Ticket], folder: Path, output: Path) -> Job:
    """The last job: a report on all the others."""
    tasks = output / "tasks.json"
    rows = [(ticket.job.kind, ticket.job.name, ticket.task_id) for ticket in tickets]
    write_whole(tasks, json.dumps(rows).encode())
    target = output / "report.md"
    payload = {"title": f"What is in {folder}", "tasks": str(tasks), "target": str(target)}
    return Job("write_report", target.name, payload, f"report\0{target}\0{rows}", makes=target)


def enqueue(jobs: list[Job]) -> list[Ticket]:
    """Enqueue what no earlier run has enqueued, and tell which is which.

    Enqueueing under an id that is known adds nothing: the task of the earlier run is still there, waiting,
    running or done. Only where it had failed, or its file is gone, is the work asked for anew.
    """
    started = datetime.now(UTC)
    started = started.replace(microsecond=started.microsecond // 1000 * 1000)  # tasks tell milliseconds
    tickets: dict[int, Ticket] = {}
    generation = 0
    while missing := [number for number in range(len(jobs)) if number not in tickets]:
        requests = [_request(jobs[number], generation) for number in missing]
        for number, task_id in zip(missing, TaskQueueService.enqueue_many(requests), strict=True):
            task = TaskQueueService.get_task_status(task_id)
            is_new = task is not None and task.created_at >= started
            if is_new or _still_good(jobs[number], task):
                is_done = not is_new and task is not None and task.status is TaskStatus.COMPLETED
                tickets[number] = Ticket(jobs[number], task_id, is_new, is_done)
        generation += 1
    return [tickets[number] for number in range(len(jobs))]


def _still_good(job: Job, task: Task | None) -> bool:
    if task is None or task.status is TaskStatus.FAILED:
        return False
    return task.status is not TaskStatus.COMPLETED or job.makes is None or job.makes.exists()


def _request(job: Job, generation: int) -> TaskRequest:
    return TaskRequest(job.kind, job.payload, job.delay_seconds, task_id=job.task_id(generation))


def _file_jobs(path: Path, folder: Path, output: Path) -> Iterable[Job]:
    name = path.relative_to(folder).as_posix()
    facts = path.stat()
    # As make does: a file of the same size and time is the same file. Reading it would be half of the work.
    version = f"{path}\0{facts.st_size}\0{facts.st_mtime_ns}"
    suffix = path.suffix.lower()
    if suffix in PHOTOGRAPHS:
        target = output / "thumbnails" / f"{name.replace('/', '__')}.jpg"
        payload = {"path": str(path), "target": str(target)}
        yield Job("thumbnail", name, payload, f"thumbnail\0{version}\0{target}", makes=target)
    if suffix in TEXTS:
        yield Job("word_count", name, {"path": str(path)}, f"word_count\0{version}", delay_seconds=1)
    yield Job("sha256", name, {"path": str(path)}, f"sha256\0{version}")
