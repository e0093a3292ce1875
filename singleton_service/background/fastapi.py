"""The queue on the web: `router` for a FastAPI application, the `lifespan` it brings, and 503 for endpoints of its own.

Signals stay with the web server; the four services start and stop with the application.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import datetime  # noqa: TC003 - pydantic reads it when the model is made
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field

from singleton_service import stop
from singleton_service.background.config import ConfigService, settings_in_force
from singleton_service.background.scheduler import SchedulerService
from singleton_service.background.task_queue import (
    DurabilityError,
    DurabilityUnavailableError,
    NotAcceptingError,
    QueueFullError,
    QueueUnavailableError,
    TaskQueueService,
    TaskStatus,
)
from singleton_service.background.worker import WorkerService
from singleton_service.exceptions import ServiceInitializationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from starlette.responses import Response
    from starlette.types import Message

__all__ = ["answer_queue_error", "lifespan", "router"]

NUM_WORKERS = 4
# Name, numbers, quotes and escapes around a payload that is itself just within its limit.
ROOM_AROUND_PAYLOAD_BYTES = 64 * 1024
# A task that is in the queue and not as safe as TASKS_DURABILITY asks is not "queued" either; the text has its id.
_NOT_NOW = (DurabilityError, DurabilityUnavailableError, NotAcceptingError, QueueFullError, QueueUnavailableError)


class NewTask(BaseModel):
    """What POST /tasks takes."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "send_email", "payload": {"to": "a@b.c"}}]})

    name: str
    payload: dict[str, Any] = Field(default_factory=dict)
    delay_seconds: float = 0
    max_retries: int = 3


class QueuedTask(BaseModel):
    """What POST /tasks answers."""

    task_id: str
    status: str = "queued"


class TaskState(BaseModel):
    """What GET /tasks/{id} answers. The payload is left out: it may be large, or nobody else's business."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    status: TaskStatus
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    error_message: str | None
    retry_count: int
    max_retries: int
    queue: str
    result: Any
    eta: datetime | None
    held_reason: str | None


class Stats(BaseModel):
    """What GET /stats answers: what the three services say of themselves."""

    queue: dict[str, Any]
    workers: dict[str, Any]
    scheduler: dict[str, Any]


@asynccontextmanager
async def lifespan(_app: object) -> AsyncIterator[None]:
    """Start workers and scheduler with the application, and stop them at its end.

    Starting and stopping take their time (a stop waits for running tasks), so both happen in a thread: the event
    loop stays free for the requests that are still open.
    """
    await asyncio.to_thread(_start)
    try:
        yield
    finally:
        await asyncio.to_thread(_stop)


def _start() -> None:
    try:
        WorkerService.start_workers(num_workers=NUM_WORKERS)
        SchedulerService.start_scheduler()
    except BaseException:
        _stop()
        raise


def _stop() -> None:
    try:
        SchedulerService.stop_scheduler()
    finally:
        try:
            WorkerService.stop_workers()
        finally:
            stop(SchedulerService, WorkerService, TaskQueueService, ConfigService)


async def answer_queue_error(_request: Request, error: Exception) -> JSONResponse:
    """Answer 503, with the reason, when no task can go in now; for the endpoints of an application's own.

    One line installs it: `app.add_exception_handler(TaskQueueError, answer_queue_error)`. Other errors of the queue are
    raised on, and so end as 500. The router answers for itself.
    """
    if not isinstance(error, _NOT_NOW):
        raise error
    return JSONResponse({"detail": str(error)}, 503)


class _QueueRoute(APIRoute):
    """Answers bad days in HTTP's words: 413 for a body too large, 422 for a bad one, 503 when no task can go in."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                if request.method == "POST":
                    request = _bounded(request, await asyncio.to_thread(_max_body_bytes))
                return await handle(request)
            except RequestValidationError as error:
                raise _without_input(error) from error
            except (*_NOT_NOW, ServiceInitializationError) as error:
                raise HTTPException(503, str(error)) from error

        return answer


router = APIRouter(
    lifespan=lifespan,
    route_class=_QueueRoute,
    tags=["tasks"],
    responses={503: {"description": "The queue can't be reached or is full, or this process takes in no more tasks"}},
)


# Plain functions: FastAPI runs them in its pool of threads, so waiting for the queue holds up no other request.


@router.post("/tasks", responses={413: {"description": "The body is too large"}})
def create_task(new: NewTask) -> QueuedTask:
    """Put a task into the queue."""
    given = new.model_dump(include={"delay_seconds", "max_retries"}, exclude_unset=True)
    try:
        return QueuedTask(task_id=TaskQueueService.enqueue_task(new.name, new.payload, **given))
    except (ValueError, TypeError) as error:
        raise HTTPException(422, str(error)) from error


@router.get("/tasks/{task_id}", responses={404: {"description": "Task not found"}})
def get_task(task_id: str) -> TaskState:
    """Tell where a task is, and what it returned once it is completed."""
    task = TaskQueueService.get_task_status(task_id)
    if task is None:
        raise HTTPException(404, "Task not found")
    return TaskState.model_validate(task)


@router.get("/stats")
def get_stats() -> Stats:
    """Count tasks, workers and schedules."""
    return Stats(
        queue=TaskQueueService.get_queue_stats(),
        workers=WorkerService.get_worker_stats(),
        scheduler=SchedulerService.get_scheduler_stats(),
    )


def _max_body_bytes() -> int:
    return settings_in_force().max_payload_bytes + ROOM_AROUND_PAYLOAD_BYTES


def _bounded(request: Request, limit: int) -> Request:
    """Return the request with a body that ends in 413 as soon as it is larger than *limit* bytes."""
    received = 0

    async def receive() -> Message:
        nonlocal received
        message = await request.receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise HTTPException(
                413, f"the body is larger than {limit:,} bytes (TASKS_MAX_PAYLOAD_BYTES sets the limit)"
            )
        return message

    return Request(request.scope, receive)


def _without_input(error: RequestValidationError) -> RequestValidationError:
    """Return the error without an echo of the input: NaN in it could not be answered as JSON."""
    return RequestValidationError(
        [{k: v for k, v in one.items() if k not in {"input", "ctx"}} for one in error.errors()]
    )
