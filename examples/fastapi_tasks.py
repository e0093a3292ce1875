"""A web application with all that background work can want: progress, errors, priorities, batches, kept results.

    python examples/fastapi_tasks.py [PORT]       # then, in another terminal:
    curl -X POST http://127.0.0.1:8000/process-data
    curl http://127.0.0.1:8000/task-progress/ID
    curl http://127.0.0.1:8000/calculation-result/ID

Open http://127.0.0.1:8000/docs to try all of it in a browser. What the tasks do is in web_jobs.py.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import uvicorn
from fastapi import Body, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import Field

import web_jobs
from services.fastapi import answer_queue_error, router
from services.task_queue import (
    Task,
    TaskCancelledError,
    TaskExpiredError,
    TaskFailedError,
    TaskHandle,
    TaskNotFoundError,
    TaskPriority,
    TaskQueueError,
    TaskQueueService,
    TaskRequest,
)
from services.worker import WorkerService

app = FastAPI(title="Background work, all of it")
# Workers and scheduler start and stop with the application. POST /tasks, GET /tasks/{id} and GET /stats come with it.
app.include_router(router)

SOME_NUMBERS = tuple(10**13 - n for n in range(100))

# What the endpoints take. All have defaults: a bare POST is enough to try one.
Seconds = Annotated[float, Body(ge=0, le=3600)]
Text = Annotated[str, Body(embed=True, max_length=100_000)]
Texts = Annotated[Sequence[str], Body(embed=True, max_length=10_000)]
Numbers = Annotated[Sequence[Annotated[int, Field(ge=1, le=10**13)]], Body(embed=True, max_length=1000)]
Priority = Annotated[Literal["LOW", "NORMAL", "HIGH", "CRITICAL"], Body()]


# What goes wrong, in HTTP's words. The endpoints below need not mention it.

app.add_exception_handler(TaskQueueError, answer_queue_error)  # 503: no task can go in now


@app.exception_handler(TaskNotFoundError)
@app.exception_handler(TaskExpiredError)
@app.exception_handler(TaskCancelledError)
async def answer_gone(_request: Request, _error: Exception) -> JSONResponse:
    """Answer for a task that nobody knows any more, or that never ran."""
    return JSONResponse({"detail": "Result not found or expired"}, 404)


@app.exception_handler(TaskFailedError)
async def answer_failed(_request: Request, error: TaskFailedError) -> JSONResponse:
    """Answer for a task that failed for good, with its own words."""
    return JSONResponse({"detail": error.error_message}, 500)


# Begin something


@app.post("/start-task")
def start_task(text: Text = "to be or not to be") -> dict[str, str]:
    """Enqueue a task."""
    return queued(web_jobs.count_words.enqueue(text))


@app.post("/fetch-data")
def fetch_data(name: Text = "coffee.png") -> dict[str, str]:
    """Enqueue a coroutine: there is no difference."""
    return queued(web_jobs.fetch_data.enqueue(name))


@app.post("/schedule-reminder")
async def schedule_reminder(of: Annotated[str, Body()] = "the milk", delay_seconds: Seconds = 5) -> dict[str, str]:
    """Enqueue for later. In an `async def` the twins with an "a" leave the event loop to others."""
    return queued(TaskHandle(await TaskQueueService.aenqueue_task(web_jobs.remind.name, {"of": of}, delay_seconds)))


@app.post("/start-monitoring")
def start_monitoring(every_seconds: Annotated[float, Body(ge=0.1)] = 1, for_seconds: Seconds = 10) -> dict[str, str]:
    """Begin what repeats itself for a while; all its tasks bear the tag that is answered."""
    run = f"monitoring-{secrets.token_hex(4)}"
    until = datetime.now(UTC) + timedelta(seconds=for_seconds)
    payload = {"run": run, "every_seconds": every_seconds, "until": until}
    task_id = TaskQueueService.enqueue_task(web_jobs.monitor.name, payload, tags=[run], task_id=f"{run}-1")
    return {**queued(TaskHandle(task_id)), "tag": run}


@app.post("/process-data")
def process_data(numbers: Numbers = SOME_NUMBERS) -> dict[str, str]:
    """Enqueue work that takes its time, and tells how far it has come."""
    return queued(web_jobs.factorise.enqueue(list(numbers)))


@app.post("/unreliable-task")
def unreliable_task(failures: Annotated[int, Body(embed=True, ge=0, le=10)] = 2) -> dict[str, str]:
    """Enqueue what fails a few times; with more than three failures it has failed for good."""
    return queued(web_jobs.call_flaky_service.enqueue(failures))


@app.post("/task-with-custom-error-handling")
def task_with_custom_error_handling(
    kind: Annotated[Literal["connection", "value", "other"], Body(embed=True)] = "other",
) -> dict[str, str]:
    """Enqueue what fails, and has a function of its own judge whether it is worth another try."""
    return queued(web_jobs.fail_with.enqueue(kind))


@app.post("/priority-task")
def priority_task(text: Annotated[str, Body()] = "at once", priority: Priority = "HIGH") -> dict[str, str]:
    """Enqueue before others."""
    payload = {"text": text}
    task_id = TaskQueueService.enqueue_task(web_jobs.count_words.name, payload, priority=TaskPriority[priority])
    return queued(TaskHandle(task_id))


@app.post("/batch-processing")
def batch_processing(texts: Texts = ("one", "two two", "three three three")) -> dict[str, Any]:
    """Enqueue many at once: all of them, or none if one is bad."""
    requests = [TaskRequest(web_jobs.count_words.name, {"text": text}) for text in texts]
    return {"task_ids": TaskQueueService.enqueue_many(requests), "status": "queued"}


@app.post("/start-calculation")
def start_calculation(
    below: Annotated[int, Body(ge=0, le=10**8)] = 10**6, keep_hours: Annotated[float, Body(ge=0, le=720)] = 24
) -> dict[str, str]:
    """Enqueue a calculation whose result is kept for so long."""
    task_id = TaskQueueService.enqueue_task(web_jobs.count_primes.name, {"below": below}, result_ttl=keep_hours * 3600)
    return queued(TaskHandle(task_id))


# See how it goes


@app.get("/task-status/{task_id}")
def task_status(task_id: str) -> dict[str, Any]:
    """Tell where a task is, what it returned, and each attempt that failed."""
    task = known(task_id)
    return {
        "status": task.status,
        "attempts_failed": [error.message for error in task.errors],
        "result": task.result,
    }


@app.get("/task-progress/{task_id}")
def task_progress(task_id: str) -> dict[str, Any]:
    """Tell how far a task has come, and when it should be there if it goes on like this."""
    task = known(task_id)
    percent = task.progress.percent if task.progress else 100.0 if task.status == "completed" else 0.0
    return {
        "status": task.status,
        "progress": percent,
        "message": task.progress.message if task.progress else "",
        "started_at": task.started_at,
        "estimated_completion": estimate(task),
    }


@app.get("/calculation-result/{task_id}")
def calculation_result(task_id: str) -> JSONResponse:
    """Answer with the result: 200 once it is there, 202 until then, 404 when it is there no more."""
    try:
        return JSONResponse({"result": TaskQueueService.get_result(task_id)})
    except TimeoutError as not_yet:
        return JSONResponse({"detail": str(not_yet)}, 202)


@app.get("/active-tasks")
def active_tasks() -> list[dict[str, Any]]:
    """List what runs now, in all processes."""
    return [
        {"task_id": task.id, "name": task.name, "started_at": task.started_at}
        for task in TaskQueueService.get_active_tasks()
    ]


@app.get("/task-analytics")
def task_analytics() -> dict[str, Any]:
    """Count what the queue did, ever and lately."""
    return TaskQueueService.get_analytics()


@app.get("/task-performance")
def task_performance() -> dict[str, Any]:
    """Tell what this process costs and gets done."""
    return WorkerService.get_performance_metrics()


# Come to an end: take in no more, let the rest end, stop. Ctrl-C alone does it too, at once.


@app.post("/shutdown")
def shutdown() -> dict[str, Any]:
    """Take in no more tasks. What is in the queue is still done; /shutdown-status tells when."""
    TaskQueueService.stop_accepting_tasks()
    return shutdown_status()


@app.get("/shutdown-status")
def shutdown_status() -> dict[str, Any]:
    """Tell where this process is: "serving", "draining", or "drained", when a stop would interrupt nothing."""
    is_accepting = TaskQueueService.is_accepting_tasks()
    is_idle = WorkerService.wait_for_completion(timeout=0)
    return {
        "state": "serving" if is_accepting else "drained" if is_idle else "draining",
        "is_accepting_tasks": is_accepting,
        "is_shutdown_initiated": not is_accepting,
        "active_tasks": len(TaskQueueService.get_active_tasks()),
    }


def queued(handle: TaskHandle) -> dict[str, str]:
    """Answer for a task that is in the queue."""
    return {"task_id": handle.id, "status": "queued"}


def known(task_id: str) -> Task:
    """Return a task, or answer 404."""
    task = TaskQueueService.get_task_status(task_id)
    if task is None:
        raise HTTPException(404, "Task not found")
    return task


def estimate(task: Task) -> datetime | None:
    """Return when a task will have ended, if it goes on as it began; None when there is nothing to tell from."""
    if task.progress is None or task.started_at is None or not task.progress.percent:
        return None
    return task.started_at + (task.progress.updated_at - task.started_at) * (100 / task.progress.percent)


if __name__ == "__main__":
    # This machine only: whoever reaches POST /tasks can run every task there is.
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]) if len(sys.argv) > 1 else 8000)
