"""What becomes of a task when its handler returns, raises, or does worse; without a server."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.task_queue import PermanentError, Retry, TaskResult
from singleton_service.background.task_queue.codec import decode_task, encode_body, to_json
from singleton_service.background.task_queue.handlers import Handler
from singleton_service.background.task_queue.lease import Lease
from singleton_service.background.task_queue.policy import Policy
from singleton_service.background.worker import endings
from singleton_service.background.worker.execution import Execution
from singleton_service.background.worker.job import Ending, Job
from singleton_service.background.worker.loop import HandlerLoop
from singleton_service.background.worker.readiness import Readiness
from singleton_service.background.worker.routing import Router
from singleton_service.background.worker.seat import Seat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from singleton_service.background.task_queue import Task

FENCE = 1_700_000_000_000_000


@pytest.fixture
def loop() -> Iterator[HandlerLoop]:
    loop = HandlerLoop()
    yield loop
    loop.stop()
    assert "worker-asyncio" not in {thread.name for thread in threading.enumerate()}


class Bench:
    """Runs one handler as a worker thread would."""

    def __init__(self, loop: HandlerLoop) -> None:
        self.loop = loop

    def run(
        self,
        function: Callable[..., Any] | None,
        payload: dict[str, Any] | None = None,
        *,
        retries: int = 0,
        max_retries: int = 3,
        policy: Policy | None = None,
    ) -> Job:
        handlers = {} if function is None else {"job": Handler("job", function, policy or Policy())}
        body = encode_body("job", to_json(payload or {}), 1, 0, max_retries)
        return self.run_body(handlers, body, retries)

    def run_body(self, handlers: dict[str, Handler], body: bytes, retries: int = 0) -> Job:
        job = Job(Lease("default", "=x", FENCE, "w", b"%d|w" % FENCE, body, retries, 0), is_marked=True)
        if Router(handlers).route(job):
            Execution(Readiness(self.loop), retry_base_s=60, retry_cap_s=3600).run(job, Seat(lambda _at: None))
        return job


@pytest.fixture
def bench(loop: HandlerLoop) -> Bench:
    return Bench(loop)


def result_of(job: Job) -> Any:
    assert job.ending is Ending.COMPLETE
    record = b"c0|%x|0|1|%b\n%b" % (FENCE, job.report, job.lease.body)
    task = decode_task("default", "=x", [b"finished", record, b"w", b"", b"", b"", b""])
    assert task is not None
    return task.result


def error_of(job: Job) -> dict[str, Any]:
    assert job.ending in {Ending.RETRY, Ending.BURY}
    error: dict[str, Any] = json.loads(job.report)
    return error


class Awaitable:
    """Something to await that is no coroutine."""

    def __await__(self) -> Any:
        yield from asyncio.sleep(0).__await__()
        return "awaited"


class Service:
    @classmethod
    def perform(cls, payload: dict[str, Any]) -> str:
        return cls.__name__

    async def __call__(self, payload: dict[str, Any]) -> str:
        return "called"


# Completed


@pytest.mark.parametrize("value", [None, 0, "text", [1, 2.5], {"a": None}, "\ud800", "x" * 100_000], ids=repr)
def test_what_a_function_returns_is_the_result(bench: Bench, value: Any) -> None:
    job = bench.run(lambda payload: value)
    assert result_of(job) == value
    assert job.has_begun
    assert job.run_s >= 0


def test_the_handler_has_the_payload(bench: Bench) -> None:
    assert result_of(bench.run(lambda payload: payload, {"a": [1, {"b": None}]})) == {"a": [1, {"b": None}]}


def test_a_coroutine_function_is_awaited_on_the_loop(bench: Bench) -> None:
    async def handler(payload: dict[str, Any]) -> str:
        await asyncio.sleep(0)
        return threading.current_thread().name

    assert result_of(bench.run(handler)) == "worker-asyncio"


@pytest.mark.parametrize(
    ("function", "result"),
    [
        (lambda payload: Awaitable(), "awaited"),
        (Service.perform, "Service"),
        (Service(), "called"),
        (partial(lambda extra, payload: extra, "bound"), "bound"),
    ],
    ids=["awaitable", "classmethod", "async object", "partial"],
)
def test_anything_that_can_be_called_is_a_handler(bench: Bench, function: Any, result: str) -> None:
    assert result_of(bench.run(function)) == result


def test_coroutines_of_many_tasks_share_one_loop(bench: Bench) -> None:
    loops = []

    async def handler(payload: dict[str, Any]) -> None:
        loops.append(asyncio.get_running_loop())

    for _ in range(3):
        bench.run(handler)
    assert len(set(map(id, loops))) == 1


# Failed


def fail(payload: dict[str, Any]) -> None:
    raise ValueError("no such address")


def test_an_exception_is_a_failed_attempt_with_all_that_is_known_of_it(bench: Bench) -> None:
    before = datetime.now(UTC)
    job = bench.run(fail)
    error = error_of(job)
    assert (error["t"], error["m"]) == ("ValueError", "Task execution failed: no such address")
    assert abs(error["w"] - before.timestamp() * 1000) < 60_000
    assert job.ending is Ending.RETRY


@pytest.mark.parametrize(("retries", "delay_s"), [(0, 120), (1, 240), (2, 480)])
def test_it_is_tried_again_after_the_documented_delay(bench: Bench, retries: int, delay_s: int) -> None:
    job = bench.run(fail, retries=retries)
    assert (job.ending, job.delay_ms) == (Ending.RETRY, delay_s * 1000)


def test_it_is_tried_again_after_its_own_delay(bench: Bench) -> None:
    job = bench.run(fail, retries=2, policy=Policy(retry_delay_seconds=0.25))
    assert (job.ending, job.delay_ms) == (Ending.RETRY, 250)


@pytest.mark.parametrize(("retries", "max_retries"), [(0, 0), (3, 3)])
def test_after_its_last_attempt_it_has_failed_for_good(bench: Bench, retries: int, max_retries: int) -> None:
    assert bench.run(fail, retries=retries, max_retries=max_retries).ending is Ending.BURY


def raising(error: BaseException) -> Callable[..., Any]:
    def handler(payload: dict[str, Any]) -> None:
        raise error

    return handler


def returning(value: Any) -> Callable[..., Any]:
    return lambda payload: value


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    ("answer", "ending", "delay_s"),
    [(True, Ending.RETRY, 120), (False, Ending.BURY, 0), (2.5, Ending.RETRY, 2.5), (0, Ending.RETRY, 0)],
)
def test_on_error_decides(bench: Bench, answer: Any, ending: Ending, delay_s: float, *, is_async: bool) -> None:
    asked: list[Any] = []

    def on_error(task: Task, error: BaseException) -> Any:
        asked.append((task.name, task.retry_count, task.payload, str(error)))
        return answer

    async def on_error_async(task: Task, error: BaseException) -> Any:
        await asyncio.sleep(0)
        return on_error(task, error)

    policy = Policy(on_error=on_error_async if is_async else on_error, retry_on=KeyError)
    job = bench.run(fail, {"to": "a"}, policy=policy)
    assert asked == [("job", 0, {"to": "a"}, "no such address")]
    assert (job.ending, job.delay_ms) == (ending, delay_s * 1000)


def test_on_error_that_has_no_opinion_leaves_it_to_the_rest_of_the_policy(bench: Bench) -> None:
    assert bench.run(fail, policy=Policy(on_error=lambda task, error: None)).ending is Ending.RETRY
    policy = Policy(on_error=lambda task, error: None, give_up_on=ValueError)
    assert bench.run(fail, policy=policy).ending is Ending.BURY


@pytest.mark.parametrize("answer", [RuntimeError("hook"), SystemExit(1), "soon", -1, float("nan")], ids=repr)
def test_an_on_error_that_fails_itself_loses_nothing(
    bench: Bench, answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def on_error(task: Task, error: BaseException) -> Any:
        if isinstance(answer, BaseException):
            raise answer
        return answer

    job = bench.run(fail, policy=Policy(on_error=on_error))
    assert (job.ending, job.delay_ms) == (Ending.RETRY, 120_000), "as if there were none"
    assert error_of(job)["m"] == "Task execution failed: no such address"
    assert "on_error of task default.=x failed" in caplog.text


def test_on_error_cant_give_a_task_more_than_its_retries(bench: Bench) -> None:
    job = bench.run(fail, retries=3, policy=Policy(on_error=lambda task, error: True))
    assert job.ending is Ending.BURY


@pytest.mark.parametrize(
    ("policy", "ending"),
    [
        (Policy(retry_on=ValueError), Ending.RETRY),
        (Policy(retry_on=Exception), Ending.RETRY),
        (Policy(retry_on=(KeyError, OSError)), Ending.BURY),
        (Policy(give_up_on=ValueError), Ending.BURY),
        (Policy(give_up_on=KeyError), Ending.RETRY),
        (Policy(retry_on=Exception, give_up_on=ValueError), Ending.BURY),
    ],
    ids=repr,
)
def test_the_kind_of_error_decides(bench: Bench, policy: Policy, ending: Ending) -> None:
    assert bench.run(fail, policy=policy).ending is ending


def test_a_handler_may_say_when_to_try_again(bench: Bench) -> None:
    policy = Policy(retry_delay_seconds=9, give_up_on=Exception, on_error=lambda task, error: False)
    job = bench.run(raising(Retry(delay_seconds=0.25, reason="too busy")), policy=policy)
    assert (job.ending, job.delay_ms) == (Ending.RETRY, 250)
    assert (error_of(job)["t"], error_of(job)["m"]) == ("Retry", "Task execution failed: too busy")
    assert bench.run(raising(Retry()), policy=policy).delay_ms == 9000
    assert bench.run(raising(Retry()), retries=3).ending is Ending.BURY, "it counts as a retry"


def test_a_handler_may_give_up(bench: Bench) -> None:
    class NoSuchAddressError(PermanentError):
        pass

    job = bench.run(raising(NoSuchAddressError("a@b")), policy=Policy(on_error=lambda task, error: True))
    assert job.ending is Ending.BURY
    assert (error_of(job)["t"], error_of(job)["m"]) == ("NoSuchAddressError", "Task execution failed: a@b")
    assert " in handler\n" in error_of(job)["tb"]


def test_a_task_may_fail_by_value(bench: Bench) -> None:
    job = bench.run(returning(TaskResult(success=False, error="no params", error_type="Missing", retryable=False)))
    assert job.ending is Ending.BURY
    assert {**error_of(job), "w": 0} == {"w": 0, "t": "Missing", "m": "Task execution failed: no params", "tb": None}
    job = bench.run(returning(TaskResult(success=False, error="later")), policy=Policy(retry_delay_seconds=3))
    assert (job.ending, job.delay_ms, error_of(job)["t"]) == (Ending.RETRY, 3000, "TaskResult")


def test_a_task_result_that_is_a_success_is_its_result(bench: Bench) -> None:
    assert result_of(bench.run(returning(TaskResult(success=True, result=[1, 2])))) == [1, 2]


def test_a_task_result_does_not_contradict_itself() -> None:
    with pytest.raises(ValueError, match="needs an error"):
        TaskResult(success=False)
    with pytest.raises(ValueError, match="contradicts itself"):
        TaskResult(success=True, error="but")


@pytest.mark.parametrize(("retry", "ending"), [(False, Ending.BURY), (True, Ending.RETRY)])
def test_the_dict_of_an_earlier_system_is_a_failure_by_value(bench: Bench, ending: Ending, *, retry: bool) -> None:
    job = bench.run(returning({"error": "file not found", "retry": retry}))
    assert job.ending is ending
    assert error_of(job)["m"] == "Task execution failed: file not found"


@pytest.mark.parametrize(
    "value",
    [
        {"error": None, "retry": False},
        {"error": "", "retry": False},
        {"error": "x"},
        {"error": "x", "retry": "no"},
        {"error": "x", "retry": False, "rows": 7},
        {"retry": False, "rows": 7},
    ],
    ids=repr,
)
def test_other_dicts_are_results(bench: Bench, value: dict[str, Any]) -> None:
    assert result_of(bench.run(returning(value))) == value


def first_frames(job: Job) -> tuple[str, str]:
    """Return the first line of the traceback and the function of its first frame."""
    lines = error_of(job)["tb"].splitlines()
    return lines[0], lines[1].rpartition(" in ")[2]


def test_a_traceback_begins_with_the_users_frame(bench: Bench) -> None:
    job = bench.run(fail)
    assert first_frames(job) == ("Traceback (most recent call last):", "fail")
    assert error_of(job)["tb"].endswith("ValueError: no such address\n")


def test_a_coroutines_traceback_begins_with_the_users_frame(bench: Bench) -> None:
    async def fail_later(payload: dict[str, Any]) -> None:
        await asyncio.sleep(0)
        fail(payload)

    job = bench.run(fail_later)
    assert first_frames(job)[1] == "fail_later"
    assert " in fail\n" in error_of(job)["tb"]


def test_a_traceback_tells_the_cause(bench: Bench) -> None:
    def handler(payload: dict[str, Any]) -> None:
        try:
            fail(payload)
        except ValueError as error:
            raise LookupError("gave up") from error

    trace = error_of(bench.run(handler))["tb"]
    assert "ValueError: no such address" in trace
    assert "direct cause" in trace


def test_a_payload_the_handler_does_not_take_fails_for_good_and_says_why(bench: Bench) -> None:
    def handler(recipient: str, copies: int = 1) -> list[str]:
        return [recipient] * copies

    assert result_of(bench.run(handler, {"recipient": "a", "copies": 2})) == ["a", "a"]
    job = bench.run(handler, {"copies": "two"})
    assert job.ending is Ending.BURY
    error = error_of(job)
    assert (error["t"], error["tb"]) == ("ValueError", None)
    assert error["m"].startswith(
        "The handler was not called: the payload of task 'job' is not what its handler takes: "
    )
    assert "recipient: it is missing; copies: Input should be a valid integer" in error["m"]
    assert bench.run(handler, {"recipient": "a"}).ending is Ending.COMPLETE


@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError()], ids=repr
)
@pytest.mark.parametrize("is_async", [False, True])
def test_what_ends_other_programs_ends_the_task_alone(bench: Bench, error: BaseException, *, is_async: bool) -> None:
    def plain(payload: dict[str, Any]) -> None:
        raise error

    async def coroutine(payload: dict[str, Any]) -> None:
        raise error

    job = bench.run(coroutine if is_async else plain)
    assert job.ending is Ending.RETRY
    assert error_of(job)["t"] in {type(error).__name__, "CancelledError"}

    async def next_one(payload: dict[str, Any]) -> str:
        return "alive"

    assert result_of(bench.run(next_one)) == "alive", "the loop lives, too"


def test_an_exit_says_its_code(bench: Bench) -> None:
    assert error_of(bench.run(lambda payload: sys.exit(3)))["m"] == "Task execution failed: 3"


def test_an_error_without_words_is_shown_by_its_name(bench: Bench) -> None:
    def handler(payload: dict[str, Any]) -> None:
        raise ValueError

    assert error_of(bench.run(handler))["m"] == "Task execution failed: ValueError()"


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")

    __repr__ = __str__


def test_an_error_that_cant_be_shown_is_a_failed_attempt_like_any_other(bench: Bench) -> None:
    def handler(payload: dict[str, Any]) -> None:
        raise UnspeakableError

    job = bench.run(handler)
    assert job.ending is Ending.RETRY
    assert error_of(job)["t"] == "UnspeakableError"


def test_a_bottomless_recursion_is_a_failed_attempt(bench: Bench) -> None:
    def handler(payload: dict[str, Any]) -> Any:
        return handler(payload)

    assert error_of(bench.run(handler))["t"] == "RecursionError"


def test_a_lone_surrogate_in_a_message_is_kept(bench: Bench) -> None:
    def handler(payload: dict[str, Any]) -> None:
        raise OSError("no file \udcff")

    assert "\udcff" in error_of(bench.run(handler))["m"]


# Results that can't be kept


class Treacherous(dict[str, Any]):
    def items(self) -> Any:
        raise LookupError("not today")


def bottomless() -> list[Any]:
    deep: list[Any] = []
    deep.append(deep)
    return deep


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, b"bytes", float("nan"), bottomless(), {(1, 2): 3}, Treacherous(a=1)],
    ids=["object", "set", "bytes", "nan", "circular", "tuple key", "own dict"],
)
def test_a_result_that_is_not_json_fails_the_task_for_good_and_is_not_run_again(bench: Bench, value: Any) -> None:
    job = bench.run(lambda payload: value)
    assert job.ending is Ending.BURY
    assert "The handler ran and is not run again" in error_of(job)["m"]


def test_a_result_may_be_as_large_as_is_kept(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endings, "MAX_RESULT_BYTES", 1000)
    assert bench.run(lambda payload: "x" * 998).ending is Ending.COMPLETE
    job = bench.run(lambda payload: "x" * 999)
    assert job.ending is Ending.BURY
    assert "1,001 bytes, at most 1,000 are kept" in error_of(job)["m"]


# Held


def test_a_task_nobody_here_knows_is_held(bench: Bench) -> None:
    job = bench.run(None)
    assert (job.ending, job.reason) == (Ending.HOLD, "No handler registered for task: job")
    assert json.loads(job.report)["m"] == "No handler registered for task: job"
    assert not job.has_begun


def test_a_task_of_a_newer_version_is_held_for_a_newer_worker(bench: Bench) -> None:
    job = bench.run_body({"job": Handler("job", fail)}, b"91{}")
    assert job.ending is Ending.HOLD
    assert "newer version" in job.reason
    assert not job.has_begun
