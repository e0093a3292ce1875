"""The web application with all that background work can want: each of its routes, asked over HTTP."""

from __future__ import annotations

import hashlib
import math
import signal
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.system.place import EXAMPLES, wait_until
from tests.system.web import Site, WebServer

if TYPE_CHECKING:
    from collections.abc import Iterator

ENDED = {"completed", "failed"}


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    site = Site(tmp_path_factory.mktemp("site"))
    yield site.serve_example("fastapi_tasks")
    site.leave()


def begin(web: WebServer, path: str, **body: Any) -> str:
    answer = web.client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "queued"
    task_id: str = answer.json()["task_id"]
    return task_id


def get(web: WebServer, path: str) -> Any:
    answer = web.client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def at_its_end(web: WebServer, task_id: str) -> Any:
    wait_until(lambda: get(web, f"/task-status/{task_id}")["status"] in ENDED)
    return get(web, f"/task-status/{task_id}")


def test_plain_functions_and_coroutines_are_done(web: WebServer) -> None:
    words = begin(web, "/start-task", text="To be or not to be")
    fetched = begin(web, "/fetch-data", name="rocket.jpg")
    absent = begin(web, "/fetch-data", name="../main.py")

    assert at_its_end(web, words)["result"] == {"words": 6, "different": 4}
    digest = hashlib.sha256((EXAMPLES / "data/rocket.jpg").read_bytes()).hexdigest()
    assert at_its_end(web, fetched)["result"]["sha256"] == digest
    assert at_its_end(web, absent)["attempts_failed"] == [
        "Task execution failed: there is no '../main.py' in examples/data"
    ]


def test_a_reminder_comes_when_it_was_asked_for(web: WebServer) -> None:
    soon = begin(web, "/schedule-reminder", of="the milk", delay_seconds=0.2)
    later = begin(web, "/schedule-reminder", of="the bread", delay_seconds=3600)

    assert at_its_end(web, soon)["result"] == "Remember: the milk"
    assert get(web, f"/task-status/{later}")["status"] == "pending"
    assert web.client.get(f"/calculation-result/{later}").status_code == 202


def test_monitoring_repeats_itself_until_its_time_is_over(web: WebServer) -> None:
    first = begin(web, "/start-monitoring", every_seconds=0.3, for_seconds=1.2)
    looks = [first.removesuffix("1") + str(number) for number in range(1, 6)]

    def ended() -> list[str]:
        answers = [web.client.get(f"/task-status/{task_id}") for task_id in looks]
        return [answer.json()["status"] if answer.status_code == 200 else "unknown" for answer in answers]

    # Each enqueues the next one before it ends: behind one that has completed, nothing comes later.
    wait_until(lambda: set(ended()) == {"completed", "unknown"} and ended().count("completed") >= 2)
    assert ended()[0] == "completed"
    assert ended()[4] == "unknown"
    assert at_its_end(web, looks[1])["result"]["memory_usage_mb"] > 0


def test_progress_is_seen_while_it_goes_on_with_an_estimate_of_the_end(web: WebServer) -> None:
    task_id = begin(web, "/process-data")
    seen: list[Any] = []

    def has_reported() -> bool:
        seen.append(get(web, f"/task-progress/{task_id}"))
        return bool(seen[-1]["message"])

    wait_until(has_reported)
    assert seen[-1]["status"] == "running"
    assert 0 < seen[-1]["progress"] <= 100
    assert " = " in seen[-1]["message"]
    started_at, estimate = (datetime.fromisoformat(seen[-1][key]) for key in ("started_at", "estimated_completion"))
    assert started_at < estimate
    result = at_its_end(web, task_id)["result"]
    assert len(result) == 100
    assert all(math.prod(factors) == int(number) for number, factors in result.items())
    assert get(web, f"/task-progress/{task_id}")["progress"] == 100


def test_what_runs_is_listed(web: WebServer) -> None:
    task_id = begin(web, "/process-data")

    wait_until(lambda: task_id in [task["task_id"] for task in get(web, "/active-tasks")])

    assert at_its_end(web, task_id)["status"] == "completed"


@pytest.mark.parametrize(("failures", "outcome"), [(2, "completed"), (9, "failed")])
def test_an_unreliable_task_is_tried_four_times(web: WebServer, failures: int, outcome: str) -> None:
    ended = at_its_end(web, begin(web, "/unreliable-task", failures=failures))

    assert ended["status"] == outcome
    assert len(ended["attempts_failed"]) == min(failures, 4)


@pytest.mark.parametrize(("kind", "attempts"), [("connection", 4), ("value", 1), ("other", 2)])
def test_a_function_judges_which_errors_are_worth_another_try(web: WebServer, kind: str, attempts: int) -> None:
    ended = at_its_end(web, begin(web, "/task-with-custom-error-handling", kind=kind))

    assert (ended["status"], len(ended["attempts_failed"])) == ("failed", attempts)


def test_priorities_and_batches_go_in(web: WebServer) -> None:
    urgent = begin(web, "/priority-task", text="at once", priority="CRITICAL")
    batch = web.client.post("/batch-processing", json={"texts": ["one", "two two"]}).json()["task_ids"]

    assert [at_its_end(web, task_id)["result"]["words"] for task_id in (urgent, *batch)] == [2, 1, 2]
    assert web.client.post("/priority-task", json={"priority": "EXTREME"}).status_code == 422


def test_a_result_is_there_for_as_long_as_was_asked(web: WebServer) -> None:
    kept = begin(web, "/start-calculation", below=100)
    forgotten = begin(web, "/start-calculation", below=100, keep_hours=0)
    failed = begin(web, "/task-with-custom-error-handling", kind="value")

    at_its_end(web, kept)
    assert get(web, f"/calculation-result/{kept}") == {"result": 25}
    at_its_end(web, failed)
    answer = web.client.get(f"/calculation-result/{failed}")
    assert (answer.status_code, answer.json()) == (500, {"detail": "Task execution failed: an error: value"})
    wait_until(lambda: web.client.get(f"/calculation-result/{forgotten}").status_code == 404)
    answer = web.client.get(f"/calculation-result/{forgotten}")
    assert answer.json() == {"detail": "Result not found or expired"}


def test_a_task_nobody_knows_is_404_everywhere(web: WebServer) -> None:
    for path in ("task-status", "task-progress", "calculation-result"):
        assert web.client.get(f"/{path}/default.nobody").status_code == 404


def test_analytics_and_performance_tell_what_was_done(web: WebServer) -> None:
    assert at_its_end(web, begin(web, "/start-task"))["status"] == "completed"

    assert get(web, "/task-analytics")["successful"] >= 1
    assert get(web, "/task-performance")["active_workers"] == 4


def test_before_it_stops_it_takes_in_no_more_and_says_when_the_rest_is_done(tmp_path_factory: Any) -> None:
    site = Site(tmp_path_factory.mktemp("site"))
    try:
        web = site.serve_example("fastapi_tasks")
        assert get(web, "/shutdown-status")["state"] == "serving"
        task_id = begin(web, "/process-data")
        wait_until(lambda: bool(get(web, "/active-tasks")))

        assert web.client.post("/shutdown").json() == {
            "state": "draining",
            "is_accepting_tasks": False,
            "is_shutdown_initiated": True,
            "active_tasks": 1,
        }
        refused = web.client.post("/start-task")
        assert (refused.status_code, "takes in no new tasks" in refused.json()["detail"]) == (503, True)
        wait_until(lambda: get(web, "/shutdown-status")["state"] == "drained")
        assert get(web, f"/task-status/{task_id}")["status"] == "completed"
        web.end(signal.SIGINT)

        assert web.process.returncode in {0, -signal.SIGINT}
        assert "Traceback" not in web.output
    finally:
        site.leave()
