"""What type checkers see through the doors. Checked by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import _AsyncGeneratorContextManager, asynccontextmanager, closing, contextmanager
from datetime import datetime
from sqlite3 import Connection, connect
from typing import Any, assert_type

from pydantic import BaseModel

from services.scheduler import SchedulerService
from services.task_queue import (
    CurrentTask,
    Progress,
    Task,
    TaskHandle,
    TaskHandler,
    TaskQueueService,
    TaskRequest,
    TaskStatus,
    current_batch,
    discover,
    task,
)
from services.worker import (
    LoopResource,
    TaskEnd,
    WorkerResource,
    WorkerService,
    after_task,
    before_task,
    on_worker_stop,
    task_scope,
)


@task
def plain(payload: dict[str, Any]) -> int:
    return len(payload)


@task(max_retries=5, retry_delay_seconds=0.5)
def with_policy(payload: dict[str, Any]) -> str:
    return str(payload)


class Mail(BaseModel):
    recipient: str


@task
def send_email(recipient: str, copies: int = 1) -> bool:
    return bool(recipient * copies)


@task(queue="low")
async def send_mail(mail: Mail) -> bool:
    return bool(mail.recipient)


@task
def mapped(payload: Mapping[str, Any]) -> int:
    return len(payload)


# What is marked is an error, and mypy and pyright complain about a mark that is not.
assert_type(send_email.enqueue(recipient="a@b.c"), TaskHandle)
assert_type(send_email.enqueue("a@b.c", copies=2), TaskHandle)
send_email.enqueue(recipient=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
send_email.enqueue(recipiant="a@b.c")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
send_email.enqueue()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
assert_type(send_mail.enqueue(Mail(recipient="a@b.c")), TaskHandle)
send_mail.enqueue(Mail(recipient=1))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
send_mail.enqueue(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
task(retry_delay_seconds="5")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
assert_type(mapped.enqueue(a=1, b="x"), TaskHandle)


class Report(TaskHandler):
    queue = "low"
    retry_on = (OSError, ValueError)

    @classmethod
    def perform(cls, pages: int) -> str:
        return "page" * pages


assert_type(Report.perform(3), str)
Report.perform("3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
assert_type(Report.perform_async(pages=3), TaskHandle)
assert_type(discover("app.tasks"), list[str])
assert_type(plain({}), int)
assert_type(with_policy({}), str)
assert_type(plain.name, str)
assert_type(with_policy.enqueue(to="a@b.c"), TaskHandle)
assert_type(TaskQueueService.enqueue_task("plain", {}, 0, 3), str)
assert_type(TaskQueueService.get_task_status("id"), Task | None)
assert_type(TaskQueueService.get_progress("id"), Progress | None)
assert_type(TaskQueueService.update_progress(50, "half"), bool)
assert_type(TaskQueueService.get_active_tasks(), list[Task])
assert_type(TaskQueueService.list_tasks(status=TaskStatus.FAILED).tasks, list[Task])
assert_type(WorkerService.stop_workers(), int)
assert_type(SchedulerService.schedule_task("plain", {}, "daily", missed="all", overlap="skip"), str)
assert_type(SchedulerService.run_now("plain"), str | None)
assert_type(SchedulerService.next_runs("plain", 3), list[datetime])


async def awaiting(handle: TaskHandle) -> None:
    """Look at the async twins: they take and give what their originals do."""
    assert_type(await TaskQueueService.aenqueue_task("plain", {}, 0, 3, tags=["a"]), str)
    assert_type(await TaskQueueService.aenqueue_many([TaskRequest("plain")]), list[str])
    assert_type(await TaskQueueService.aget_task_status("id"), Task | None)
    assert_type(await TaskQueueService.acancel_task("id"), bool)
    await TaskQueueService.aget_result("id", timeout=None)
    await handle.aget(5)
    async for seen in handle.updates():
        assert_type(seen, Task)
    for seen in handle.updates(timeout=5):
        assert_type(seen.progress, Progress | None)

    await TaskQueueService.aenqueue_task(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await TaskQueueService.aenqueue_task()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await TaskQueueService.aenqueue_task("x", colour=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


# What an application adds to its workers.


@contextmanager
def connection() -> Iterator[Connection]:
    """Open a connection and close it again."""
    with closing(connect("x.db")) as database:
        yield database


@asynccontextmanager
async def async_connection() -> AsyncIterator[Connection]:
    """Do the same for coroutines."""
    with closing(connect("x.db")) as database:
        yield database


@before_task
def says_its_name(task: CurrentTask) -> str:
    """Tell the name of a task."""
    return task.name


@after_task
async def says_its_end(end: TaskEnd) -> TaskStatus:
    """Tell how an attempt ended."""
    return end.status


def of_a_current_task(task: CurrentTask) -> None:
    """Look at what decorators give back."""
    assert_type(says_its_name(task), str)
    assert_type(WorkerResource(connection).get(), Connection)
    with task_scope(connection)() as database, WorkerResource(connection).opened() as other:
        assert_type(database, Connection)
        assert_type(other, Connection)
    assert_type(LoopResource(async_connection).get(), Connection)
    assert_type(task_scope(coroutines=False)(connection)().__enter__(), Connection)
    assert_type(task_scope(async_connection), Callable[[], _AsyncGeneratorContextManager[Connection]])
    LoopResource(connection)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    task_scope(coroutines=False)(async_connection)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    WorkerResource(says_its_name)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    task_scope(says_its_name)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    after_task(says_its_name)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    on_worker_stop(says_its_end)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]


# What is done in batches takes a list, and is enqueued one at a time.


@task(batch=100, wait=0.5, queue="low")
def send_mails(mails: list[Mail]) -> list[bool]:
    return [bool(mail.recipient) for mail in mails]


@task(batch=10)
async def index(documents: list[dict[str, Any]]) -> None:
    documents.clear()


assert_type(send_mails.enqueue(Mail(recipient="a@b.c")), TaskHandle)
assert_type(send_mails.enqueue(recipient="a@b.c"), TaskHandle)
assert_type(send_mails([Mail(recipient="a@b.c")]), list[bool])
assert_type(index.enqueue(id=1), TaskHandle)
assert_type(index.enqueue({"id": 1}), TaskHandle)
assert_type([each.id for each in current_batch()], list[str])
send_mails.enqueue([Mail(recipient="a@b.c")])  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
send_mails.enqueue(Mail(recipient="a@b.c"), Mail(recipient="b@b.c"))  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
send_mails(Mail(recipient="a@b.c"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
task(batch="100")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
