"""The queue on the web, under a real uvicorn."""

from __future__ import annotations

import asyncio
import inspect
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from services.fastapi import router
from singleton_service.background.engine.binary import find_server
from tests.system.place import processes_about, wait_until
from tests.system.web import Site, WebServer

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
S0_STATS = {
    "queue": {"tasks_queued", "tasks_processed", "tasks_failed", "tasks_retried", "pending_tasks", "delayed_tasks"},
    "workers": {
        "workers_started",
        "workers_stopped",
        "tasks_processed",
        "tasks_failed",
        "processing_errors",
        "active_workers",
        "total_workers",
        "is_running",
    },
    "scheduler": {
        "jobs_scheduled",
        "jobs_executed",
        "scheduler_errors",
        "is_running",
        "total_jobs",
        "pending_jobs",
    },
}
S0_TASK = {"id", "name", "status", "created_at", "completed_at", "error_message", "retry_count"}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.leave()


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    site = Site(tmp_path_factory.mktemp("site"))
    yield site.serve_example()
    site.leave()


def test_a_posted_task_is_done_and_its_result_is_there(example: WebServer) -> None:
    task_id = example.post("count_words", {"text": "To be or not to be"})

    wait_until(lambda: example.task(task_id)["status"] == "completed")

    task = example.task(task_id)
    assert set(task) >= S0_TASK
    assert task["result"] == {"words": 6, "different": 4}
    assert task["retry_count"] == 0
    assert task["error_message"] is None
    assert task["completed_at"] >= task["created_at"]


def test_what_is_not_posted_is_decided_by_the_tasks_own_policy(example: WebServer) -> None:
    by_policy = example.post("count_words", {"text": ""}, delay_seconds=3600)
    by_request = example.post("count_words", {"text": ""}, delay_seconds=3600, max_retries=1)

    assert example.task(by_policy)["max_retries"] == 5
    assert example.task(by_request)["max_retries"] == 1
    assert example.task(by_request)["status"] == "pending"


def test_stats_tell_of_queue_workers_and_scheduler(example: WebServer) -> None:
    stats = example.stats()

    assert {room: set(stats[room]) >= keys for room, keys in S0_STATS.items()} == dict.fromkeys(S0_STATS, True)
    assert stats["workers"]["active_workers"] == 4
    assert stats["scheduler"]["is_running"] is True


@pytest.mark.parametrize("task_id", ["unknown", "default.unknown", "default.=never", "%00", "a" * 2000])
def test_a_task_nobody_knows_is_404(example: WebServer, task_id: str) -> None:
    answer = example.client.get(f"/tasks/{task_id}")

    assert (answer.status_code, answer.json()) == (404, {"detail": "Task not found"})


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("{}", "name"),
        ('{"name": ""}', "task name"),
        ('{"name": 7}', "string"),
        ('{"name": NaN}', "string"),
        ('{"name": "%s"}' % ("x" * 201), "task name"),
        ('{"name": "count_words", "delay_seconds": -9}', "delay_seconds"),
        ('{"name": "count_words", "delay_seconds": NaN}', "delay_seconds"),
        ('{"name": "count_words", "delay_seconds": Infinity}', "delay_seconds"),
        ('{"name": "count_words", "max_retries": -3}', "max_retries"),
        ('{"name": "count_words", "max_retries": 1.5}', "max_retries"),
        ('{"name": "count_words", "payload": [1]}', "payload"),
        ('{"name": "count_words", "payload": {"number": NaN}}', "payload"),
        ('{"name": "count_words", "payload": {"text": "%s"}}' % ("x" * 1048577), "TASKS_MAX_PAYLOAD_BYTES"),
        ("{not json", "JSON"),
    ],
)
def test_bad_input_is_422_and_nothing_is_queued(example: WebServer, body: str, says: str) -> None:
    before = example.stats()["queue"]["tasks_queued"]

    answer = example.client.post("/tasks", content=body, headers={"content-type": "application/json"})

    assert answer.status_code == 422, answer.text
    assert says in answer.text
    assert example.stats()["queue"]["tasks_queued"] == before


def test_a_body_far_too_large_is_413_before_it_is_all_there(example: WebServer) -> None:
    def endless() -> Iterator[bytes]:
        yield b'{"name": "count_words", "payload": {"text": "'
        for _ in range(64):
            yield b"x" * 65536
        yield b'"}}'

    answer = example.client.post("/tasks", content=endless(), headers={"content-type": "application/json"})

    assert answer.status_code == 413
    assert "TASKS_MAX_PAYLOAD_BYTES" in answer.text


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_the_server_and_all_it_started(site: Site, signum: signal.Signals) -> None:
    server = site.serve_example()
    assert server.stats()["workers"]["is_running"]

    took_s = server.end(signum)

    assert "Application shutdown complete" in server.output
    assert "Traceback" not in server.output
    assert took_s < 10
    wait_until(lambda: not processes_about(site.data_dir), within_s=10)


SLOW = """
import time
from fastapi import FastAPI
from services.fastapi import router
from services.task_queue import task

app = FastAPI()
app.include_router(router)

@task
def slow(payload):
    time.sleep(1.5)
    return "done"
"""


def test_a_task_that_runs_when_the_server_is_told_to_stop_is_done_first(site: Site) -> None:
    server = site.serve_source(SLOW)
    task_id = server.post("slow", {})
    wait_until(lambda: server.task(task_id)["status"] == "running")
    server.end(signal.SIGINT)

    after = site.serve_source(SLOW)

    assert after.task(task_id)["result"] == "done"


def test_an_applications_own_lifespan_runs_beside_the_routers(site: Site) -> None:
    server = site.serve_source("""
from contextlib import asynccontextmanager
from fastapi import FastAPI
from services.fastapi import router

@asynccontextmanager
async def own(app):
    print("own start", flush=True)
    yield
    print("own end", flush=True)

app = FastAPI(lifespan=own)
app.include_router(router)
""")
    assert server.stats()["workers"]["is_running"]
    server.end(signal.SIGINT)

    assert "own start" in server.output
    assert "own end" in server.output


def test_the_lifespan_alone_starts_workers_for_an_application_with_routes_of_its_own(site: Site) -> None:
    server = site.serve_source("""
from fastapi import FastAPI
from services.fastapi import lifespan
from services.worker import WorkerService

app = FastAPI(lifespan=lifespan)

@app.get("/mine")
def mine():
    return WorkerService.get_worker_stats()["is_running"]
""")

    assert server.client.get("/mine").json() is True
    assert server.client.get("/stats").status_code == 404


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_with_the_queue_away_it_answers_503_and_goes_on_when_it_is_back(site: Site) -> None:
    port = free_port()
    server = site.serve_example(REDIS_URL=f"redis://user:secret@127.0.0.1:{port}/0")
    started = time.monotonic()

    refused = server.client.post("/tasks", json={"name": "count_words", "payload": {"text": "a"}})

    assert refused.status_code == 503
    assert time.monotonic() - started < 3
    assert str(port) in refused.text
    assert "secret" not in refused.text + server.output
    assert server.client.get("/tasks/default.=any").status_code == 503

    arguments = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(site.path)]
    users = ["--user", "user", "on", ">secret", "~*", "&*", "+@all"]
    redis = subprocess.Popen([find_server(), *arguments, *users], stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: server.client.get("/stats").status_code == 200, within_s=15)
        task_id = server.post("count_words", {"text": "a b"})
        wait_until(lambda: server.task(task_id)["status"] == "completed", within_s=20)
        server.end(signal.SIGINT)
    finally:
        redis.terminate()
        redis.wait()


def test_endpoints_of_an_applications_own_answer_503_with_one_line(site: Site) -> None:
    server = site.serve_source(
        """
from fastapi import FastAPI
from services.fastapi import answer_queue_error
from services.task_queue import TaskNotFoundError, TaskQueueError, TaskQueueService

app = FastAPI()
app.add_exception_handler(TaskQueueError, answer_queue_error)

@app.post("/signup")
def signup():
    return TaskQueueService.enqueue_task("welcome")

@app.post("/closed")
async def closed():
    TaskQueueService.stop_accepting_tasks()
    return TaskQueueService.is_accepting_tasks()

@app.get("/bug")
def bug():
    raise TaskNotFoundError("default.=x")
""",
        TASKS_MAX_BACKLOG="1",
    )

    assert server.client.post("/signup").status_code == 200
    full = server.client.post("/signup")
    assert (full.status_code, "TASKS_MAX_BACKLOG allows 1" in full.json()["detail"]) == (503, True)
    assert server.client.post("/closed").json() is False
    refused = server.client.post("/signup")
    assert (refused.status_code, "resume_accepting_tasks" in refused.json()["detail"]) == (503, True)
    assert server.client.get("/bug").status_code == 500


def test_endpoints_of_an_applications_own_answer_503_with_the_queue_away(site: Site) -> None:
    server = site.serve_source(
        """
from fastapi import FastAPI
from services.fastapi import answer_queue_error
from services.task_queue import TaskQueueError, TaskQueueService

app = FastAPI()
app.add_exception_handler(TaskQueueError, answer_queue_error)

@app.post("/signup")
def signup():
    return TaskQueueService.enqueue_task("welcome")
""",
        REDIS_URL=f"redis://user:secret@127.0.0.1:{free_port()}/0",
    )

    refused = server.client.post("/signup")

    assert refused.status_code == 503
    assert "is not available" in refused.json()["detail"]
    assert "secret" not in refused.text


def test_waiting_for_a_queue_that_does_not_answer_holds_up_no_other_request(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = site.serve_source(
            """
from fastapi import FastAPI
from services.fastapi import router

app = FastAPI()
app.router.routes.extend(router.routes)   # the routes without the lifespan

@app.get("/alive")
async def alive():
    return True
""",
            REDIS_URL=f"redis://127.0.0.1:{silent.getsockname()[1]}/0",
        )

        async def both() -> tuple[int, float]:
            async with httpx.AsyncClient(base_url=server.client.base_url, timeout=20) as client:
                waiting = asyncio.create_task(client.get("/stats"))
                slowest_s = 0.0
                while not waiting.done():
                    started = time.monotonic()
                    assert (await client.get("/alive")).json() is True
                    slowest_s = max(slowest_s, time.monotonic() - started)
                    await asyncio.sleep(0.02)
                return (await waiting).status_code, slowest_s

        status, slowest_s = asyncio.run(both())

    assert status == 503
    assert slowest_s < 0.8


def test_no_endpoint_runs_on_the_event_loop() -> None:
    endpoints = [route.endpoint for route in router.routes if hasattr(route, "endpoint")]

    assert len(endpoints) == 3
    assert not any(inspect.iscoroutinefunction(endpoint) for endpoint in endpoints)


def test_an_application_written_for_the_earlier_system_runs_unchanged(site: Site) -> None:
    server = site.serve("s0_fastapi:app", ROOT / "tests" / "fixtures", {})
    email = {"recipient": "ada@example.com", "subject": "Hello", "body": "Hello Ada"}

    task_id = server.post("send_email", email)

    wait_until(lambda: server.task(task_id)["status"] == "completed")
    assert set(server.task(task_id)) == S0_TASK
    stats = server.stats()
    assert {room: set(stats[room]) >= keys for room, keys in S0_STATS.items()} == dict.fromkeys(S0_STATS, True)
    assert server.client.get("/tasks/unknown").status_code == 404
    assert server.client.post("/tasks", json={"name": "", "payload": {}}).status_code == 400
    server.end(signal.SIGINT)
    assert "Application shutdown complete" in server.output


def test_the_health_check_that_schedulers_enqueue_has_a_handler(example: WebServer) -> None:
    task_id = example.post("health_check", {"timestamp": "2026-01-01T00:00:00+00:00"}, max_retries=0)

    wait_until(lambda: example.task(task_id)["status"] == "completed")

    assert example.task(task_id)["result"]["status"] == "healthy"
