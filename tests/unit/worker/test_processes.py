"""Handlers in processes of their own: how they end, how they are ended, and what is left of them; without a server."""

from __future__ import annotations

import json
import logging
import math
import os
import select
import signal
import subprocess
import sys
import textwrap
import threading
from collections import deque
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.config import Settings
from singleton_service.background.task_queue import TaskLogFilter
from singleton_service.background.task_queue.codec import encode_body, to_json
from singleton_service.background.task_queue.handlers import Handler, registry
from singleton_service.background.task_queue.lease import Lease
from singleton_service.background.task_queue.policy import Policy
from singleton_service.background.worker.execution import Execution
from singleton_service.background.worker.job import Ending, Job
from singleton_service.background.worker.loop import HandlerLoop
from singleton_service.background.worker.processes import ProcessPool, child
from singleton_service.background.worker.processes import pool as pool_module
from singleton_service.background.worker.processes.travel import handler_for, ticket_for
from singleton_service.background.worker.readiness import Readiness
from singleton_service.background.worker.seat import Order, Seat
from tests.process_table import is_alive, task_processes

from . import jobs_for_processes as jobs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FENCE = 1_700_000_000_000_000
# A process needs half a second of a processor to start; a machine that is busy takes its time.
PATIENCE_S = 60.0
ROOT = Path(__file__).parents[3]


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


class Bench:
    """A pool, and what a dispatcher does with one."""

    def __init__(self, until: Callable[..., Any], size: int, **settings: Any) -> None:
        self.until = until
        self.done: deque[Job] = deque()
        self.rung = threading.Event()
        self.execution = new_execution()
        self.pool = ProcessPool(
            size, self.execution, self.done, self.rung.set, Settings(**{"interrupt_grace_seconds": 0.5, **settings})
        )

    def submit(self, handler: Handler | Callable[..., Any], payload: dict[str, Any] | None = None, **more: Any) -> Job:
        job = new_job(handler, payload, **more)
        self.pool.submit(job)
        return job

    def run(self, handler: Handler | Callable[..., Any], payload: dict[str, Any] | None = None, **more: Any) -> Job:
        job = self.submit(handler, payload, **more)
        self.wait_for(job)
        return job

    def wait_for(self, *jobs: Job) -> None:
        self.until(lambda: all(job in self.done for job in jobs), PATIENCE_S)

    def pid(self) -> int:
        return int(result_of(self.run(jobs.pid)))

    def close(self) -> None:
        self.pool.close()
        self.pool.join(10)


def new_execution() -> Execution:
    return Execution(Readiness(HandlerLoop()), retry_base_s=60, retry_cap_s=3600)


def new_job(
    handler: Handler | Callable[..., Any],
    payload: dict[str, Any] | None = None,
    *,
    retries: int = 0,
    timeout: float | None = None,
    policy: Policy | None = None,
) -> Job:
    if not isinstance(handler, Handler):
        handler = Handler(getattr(handler, "__name__", "job"), handler, policy or Policy())
    timeout_ms = None if timeout is None else round(timeout * 1000)
    body = encode_body(handler.name, to_json(payload or {}), 1, 0, 3, timeout_ms=timeout_ms)
    job = Job(Lease("default", "=x", FENCE, "w", b"%d|w" % FENCE, body, retries, 0), is_marked=True)
    job.name, job.handler = handler.name, handler
    return job


@pytest.fixture
def new_bench(until: Callable[..., Any]) -> Iterator[Callable[..., Bench]]:
    threads, files = threading.active_count(), open_files()
    benches: list[Bench] = []

    def make(size: int = 1, **settings: Any) -> Bench:
        benches.append(Bench(until, size, **settings))
        return benches[-1]

    yield make
    for each in benches:
        each.close()
    assert not task_processes()
    until(lambda: threading.active_count() <= threads)  # others may have ended meanwhile
    assert open_files() <= files


@pytest.fixture
def bench(new_bench: Callable[..., Bench]) -> Bench:
    return new_bench()


@pytest.fixture
def notes(tmp_path: Path, until: Callable[..., Any]) -> Callable[..., list[str]]:
    """Wait until handlers have noted so many lines, and return them."""

    def read(lines: int = 1) -> list[str]:
        path = tmp_path / "notes"
        until(lambda: path.exists() and len(path.read_text().splitlines()) >= lines, PATIENCE_S)
        return path.read_text().splitlines()

    return read


@pytest.fixture
def notebook(tmp_path: Path) -> dict[str, Any]:
    return {"path": str(tmp_path / "notes"), "until": str(tmp_path / "until")}


def result_of(job: Job) -> Any:
    assert job.ending is Ending.COMPLETE, (job.ending, job.reason, job.report)
    return json.loads(job.report)


def error_of(job: Job) -> dict[str, Any]:
    assert job.ending in {Ending.RETRY, Ending.BURY}, (job.ending, job.reason)
    error: dict[str, Any] = json.loads(job.report)
    return error


# Ends


def test_jobs_are_done_in_another_process_one_after_the_other(bench: Bench) -> None:
    first = bench.run(jobs.pid)
    assert result_of(first) != os.getpid()
    assert first.has_begun
    assert first.run_s > 0
    assert bench.pid() == result_of(first)
    assert result_of(bench.run(jobs.double, {"n": 21})) == 42
    assert bench.rung.is_set()


def test_an_end_means_what_it_means_in_a_thread(bench: Bench) -> None:
    for how in ("raise", "permanent", "retry", "exit", "result", "object"):
        there = bench.run(jobs.ends, {"how": how}, retries=1)
        here = new_job(jobs.ends, {"how": how}, retries=1)
        execution = Execution(Readiness(HandlerLoop()), retry_base_s=60, retry_cap_s=3600)
        execution.run(here, Seat(lambda _at: None))
        assert (there.ending, there.delay_ms) == (here.ending, here.delay_ms)
        assert error_of(there) | {"w": 0} == error_of(here) | {"w": 0}


def test_a_policy_travels_with_its_definition_or_by_itself(bench: Bench) -> None:
    own = bench.run(registry["decorated"], {"n": 1})
    assert (own.ending, own.delay_ms) == (Ending.RETRY, 4000)
    given = bench.run(Handler("given", jobs.ends, Policy(on_error=jobs.ask_later)), {"how": "raise"})
    assert (given.ending, given.delay_ms) == (Ending.RETRY, 5000)


def test_payloads_and_results_may_be_as_large_as_anywhere(bench: Bench) -> None:
    size = 40 << 20
    assert result_of(bench.run(jobs.echo, {"text": "y" * size})) == {"text": "y" * size}
    job = bench.run(jobs.repeat, {"size": 65 << 20})
    assert job.ending is Ending.BURY
    assert "at most 67,108,864 are kept" in error_of(job)["m"]


def test_a_handler_knows_its_task_and_its_logs_are_its_parents(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.addFilter(TaskLogFilter())
    with caplog.at_level(logging.WARNING):
        told = [result_of(bench.run(jobs.knows, retries=retries, timeout=PATIENCE_S)) for retries in (0, 2)]
    assert told[1] == {
        "id": "default.=x",
        "attempt": 3,
        "fence": FENCE,
        "has_deadline": True,
        "is_cancelled": False,
        "number": 1,  # what the task before left in a context variable is gone
        "is_main_thread": True,
    }
    record = next(record for record in caplog.records if record.name == "jobs")
    assert (record.getMessage(), vars(record)["task_id"], vars(record)["task_attempt"]) == (
        "default.=x is here",
        "default.=x",
        1,
    )
    assert vars(record)["odd"] == repr(Path("odd"))
    assert record.process in task_processes()


def test_levels_are_the_parents_and_a_filter_that_raises_loses_no_job(
    new_bench: Callable[..., Bench], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.ERROR, logger="jobs"):
        new_bench().run(jobs.knows)
    assert "is here" not in caplog.text

    def refuse(record: logging.LogRecord) -> bool:
        raise ValueError(f"nothing about {record.name}")

    other = new_bench()
    caplog.handler.addFilter(refuse)
    result_of(other.run(jobs.knows))
    caplog.handler.removeFilter(refuse)
    assert "ValueError: nothing about jobs" in capsys.readouterr().err


def test_a_process_that_a_handler_forks_off_is_none_of_the_pool(bench: Bench) -> None:
    assert result_of(bench.run(jobs.forks)) == 0
    assert len(task_processes()) == 1
    bench.pid()


def test_a_death_is_noticed_though_something_lives_on_that_was_forked_off(
    bench: Bench, notebook: dict[str, Any], notes: Callable[..., list[str]]
) -> None:
    job = bench.run(jobs.leaves_a_child, notebook)
    assert "exit code 3" in error_of(job)["m"]
    left = int(notes()[0])
    assert is_alive(left)
    Path(notebook["until"]).touch()
    bench.until(lambda: not is_alive(left))


# Crashes


def test_a_crash_is_the_end_of_one_attempt_and_of_nothing_else(
    new_bench: Callable[..., Bench], notebook: dict[str, Any], notes: Callable[..., list[str]]
) -> None:
    bench = new_bench(2)
    neighbour = bench.submit(jobs.wait_for_file, notebook)
    neighbours_pid = notes()[0]
    said = {
        "segfault": "its process died: SIGSEGV",
        "exit": "its process died: exit code 3",
        "kill": "its process died: SIGKILL, sent by somebody or for want of memory",
        "memory": "MemoryError()",
    }
    for how, message in said.items():
        job = bench.run(jobs.crash, {"how": how, **notebook}, policy=Policy(on_error=jobs.ask_later))
        assert (job.ending, job.delay_ms) == (Ending.RETRY, 5000)
        assert error_of(job)["m"] == f"Task execution failed: {message}"
        if how == "segfault":
            trace = error_of(job)["tb"]
            assert "in crash\n" in trace
            assert "singleton_service" not in trace
    Path(f"{notebook['path']}-exit").unlink()
    assert bench.run(jobs.crash, {"how": "exit", **notebook}, retries=3).ending is Ending.BURY
    Path(notebook["until"]).touch()
    bench.wait_for(neighbour)
    assert str(result_of(neighbour)) == neighbours_pid


def test_a_process_that_dies_between_tasks_costs_nobody_an_attempt(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    for pid in (bench.pid(), bench.pid()):
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)
    assert result_of(bench.run(jobs.pid)) not in {0, os.getpid()}
    assert "failed" not in caplog.text


def test_a_process_that_dies_before_the_handler_is_called_is_no_fault_of_the_task_at_first(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for times in (1, 2):
        name, count = f"deadly_{times}", tmp_path / f"count_{times}"
        (tmp_path / f"{name}.py").write_text(
            textwrap.dedent(f"""
                import os, pathlib, sys
                count = pathlib.Path({str(count)!r})
                died = len(count.read_text()) if count.exists() else 0
                if "inside" in " ".join(sys.orig_argv) and died < {times}:
                    count.write_text("x" * (died + 1))
                    os._exit(5)
                def handler(payload):
                    return "alive"
            """)
        )
        job = bench.run(__import__(name).handler)
        del sys.modules[name]
        if times == 1:
            assert result_of(job) == "alive"
        else:
            assert error_of(job)["m"] == "Task execution failed: its process died: exit code 5"


def test_while_no_process_can_be_started_tasks_are_held_and_then_go_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pool_module, "_FIRST_WAIT_S", 0.2)
    with monkeypatch.context() as broken:
        broken.setattr(child, "_PROGRAM", "import sys; sys.exit(9)")
        job = bench.run(jobs.pid)
    assert (job.ending, job.reason) == (Ending.HOLD, "no process can be started: its process died: exit code 9")
    assert not job.has_begun
    assert "next try in 0.2 s" in caplog.text

    def goes_on() -> bool:
        return bench.run(jobs.pid).ending is Ending.COMPLETE

    bench.until(goes_on, PATIENCE_S)


@pytest.mark.parametrize(
    ("main", "reason"),
    [
        (None, "FileNotFoundError"),
        ("import nowhere_at_all", "No module named 'nowhere_at_all'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        (
            "from singleton_service.background.worker import WorkerService\nWorkerService.start_workers(1)",
            "start_workers() was called by the main module",
        ),
    ],
)
def test_a_main_module_that_can_not_be_imported_is_said_to_be_the_reason(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, main: str | None, reason: str
) -> None:
    path = tmp_path / "main.py"
    if main is not None:
        path.write_text(main)
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(path), raising=False)
    job = bench.run(jobs.pid)
    assert job.ending is Ending.HOLD
    assert reason in job.reason


# Time limits and cancels


@pytest.mark.parametrize("handler", [jobs.spin, jobs.sleep, jobs.doze, jobs.hog, jobs.stubborn])
def test_a_handler_whose_time_is_over_is_stopped_every_time(
    new_bench: Callable[..., Bench],
    handler: Callable[..., Any],
    notebook: dict[str, Any],
    notes: Callable[..., list[str]],
) -> None:
    is_killed = handler in {jobs.hog, jobs.stubborn}
    bench = new_bench() if is_killed else new_bench(interrupt_grace_seconds=PATIENCE_S)
    job = bench.run(handler, notebook, timeout=0.3, policy=Policy(retry_on=TimeoutError, on_error=jobs.ask_later))
    error = error_of(job)
    assert error["m"] == "Task execution failed: it ran longer than its time limit of 0.3 s"
    assert error["t"] == "TaskTimeoutError"
    assert (job.ending, job.delay_ms) == (Ending.RETRY, 5000)
    assert f"in {handler.__name__}\n" in error["tb"]
    assert "singleton_service/" not in error["tb"]
    pid = int(notes()[0])
    if is_killed:
        bench.until(lambda: not is_alive(pid))
    else:
        assert bench.pid() == pid
    assert bench.pid() != os.getpid()


def test_a_handler_that_takes_a_lock_when_its_time_is_over_is_interrupted_once_it_has_it(
    new_bench: Callable[..., Bench], notebook: dict[str, Any], notes: Callable[..., list[str]]
) -> None:
    bench = new_bench(interrupt_grace_seconds=PATIENCE_S)
    job = bench.run(jobs.sleep_after_a_lock, notebook, timeout=0.2)
    assert error_of(job)["t"] == "TaskTimeoutError"
    assert str(bench.pid()) == notes()[0], "it was not killed"


@pytest.mark.parametrize("handler", [jobs.sleep, jobs.hog])
def test_a_cancelled_handler_is_stopped_and_its_task_ends_where_its_lease_ends(
    bench: Bench, handler: Callable[..., Any], notebook: dict[str, Any], notes: Callable[..., list[str]]
) -> None:
    job = bench.submit(handler, notebook)
    notes()
    bench.until(lambda: job.has_begun)
    for _ in range(2):  # the dispatcher says it again until it ends
        bench.pool.cancel(job, Order.CANCEL)
    bench.wait_for(job)
    assert job.ending is Ending.RELEASE
    assert result_of(bench.run(jobs.echo, {"a": 1})) == {"a": 1}


def test_a_job_cancelled_before_it_begins_is_not_begun(
    bench: Bench, notebook: dict[str, Any], notes: Callable[..., list[str]]
) -> None:
    running = bench.submit(jobs.wait_for_file, notebook)
    notes()
    waiting = bench.submit(jobs.wait_for_file, notebook)
    bench.pool.cancel(waiting, Order.CANCEL)
    Path(notebook["until"]).touch()
    bench.wait_for(running, waiting)
    assert waiting.ending is Ending.RELEASE
    assert len(notes()) == 1


def test_a_hook_that_decides_about_a_failure_has_the_time_it_takes(bench: Bench, notebook: dict[str, Any]) -> None:
    # Its handler has ended: neither the interruption at the limit nor the killing after it are meant for it.
    bench.pid()
    job = bench.run(jobs.slow_to_forgive, notebook, timeout=0.02, policy=Policy(on_error=jobs.forgive_slowly))
    assert error_of(job)["t"] == "LookupError"
    assert job.delay_ms == 1000 * bench.pid()


# Signals, closing, and the parent's death


def test_signals_to_the_group_are_left_to_the_parent(
    bench: Bench, notebook: dict[str, Any], notes: Callable[..., list[str]]
) -> None:
    job = bench.submit(jobs.wait_for_file, notebook)
    pid = int(notes()[0])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
        os.kill(pid, number)
    Path(notebook["until"]).touch()
    bench.wait_for(job)
    assert result_of(job) == pid == bench.pid()


def test_closing_lets_a_job_end_and_kills_those_that_were_handed_back(
    new_bench: Callable[..., Bench], notebook: dict[str, Any], notes: Callable[..., list[str]]
) -> None:
    bench = new_bench(2)
    ending, stuck = bench.submit(jobs.wait_for_file, notebook), bench.submit(jobs.hog, notebook)
    waiting = bench.submit(jobs.pid)
    pids = {int(pid) for pid in notes(2)}
    assert bench.pool.take_back() == [waiting]
    stuck.is_abandoned = True
    bench.pool.close()
    bench.until(lambda: len(task_processes()) == 1)
    Path(notebook["until"]).touch()
    bench.pool.join(PATIENCE_S)
    assert not any(map(is_alive, pids))
    assert list(bench.done) == [ending]
    assert result_of(ending) in pids
    assert bench.pool.alive() == []


def test_a_pool_that_had_nothing_to_do_has_nothing_to_end(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench()
    bench.pool.start()
    assert not task_processes()
    assert bench.pool.alive() == []
    bench.close()


def test_processes_end_with_their_parent_however_it_dies_and_whatever_they_do(
    tmp_path: Path, until: Callable[..., Any]
) -> None:
    program = tmp_path / "parent.py"
    program.write_text(
        textwrap.dedent("""
            import sys, threading
            from tests.unit.worker import jobs_for_processes as jobs
            from tests.unit.worker.test_processes import Bench, wait_until
            if __name__ == "__main__":
                bench = Bench(wait_until, 3)
                for handler in (jobs.hog, jobs.spin, jobs.stubborn):
                    bench.submit(handler, {"path": sys.argv[1]})
                threading.Event().wait()
        """).replace("import Bench, wait_until", "import Bench\nfrom tests.conftest import wait_until")
    )
    notes = tmp_path / "notes"
    parent = subprocess.Popen(
        [sys.executable, program, notes], env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    )
    try:
        until(lambda: notes.exists() and len(notes.read_text().splitlines()) >= 3, PATIENCE_S)
    finally:
        parent.kill()
        parent.wait()
    pids = [int(line) for line in notes.read_text().splitlines() if line.isdigit()]
    assert len(pids) == 3
    until(lambda: not any(map(is_alive, pids)))


def test_a_process_ends_though_its_parent_closed_the_line_without_listening_to_the_end() -> None:
    # What stands unread makes of the end of a line an error; and here no kernel helps, for this parent lives.
    alone = child.Child("alone", Settings(), ready_by=math.inf)
    try:
        assert select.select([alone.line], [], [], PATIENCE_S)[0]
        alone.line.close()
        assert alone._process.wait(PATIENCE_S) == 1
    finally:
        alone.kill()
        alone.bury()
        alone.last_words()


# Services


def test_services_live_in_the_process_and_while_they_fail_to_start_tasks_are_held(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = tmp_path / "steps"
    monkeypatch.setenv("STEPS", str(steps))
    broken = Path(f"{steps}.broken")
    broken.touch()
    job = bench.run(registry["OnSteps"])
    assert job.ending is Ending.HOLD
    assert "OnSteps is not ready" in job.reason
    assert "the database is away" in job.reason
    assert not job.has_begun
    broken.unlink()

    def goes_on() -> Any:
        job = bench.run(registry["OnSteps"])
        return result_of(job) if job.ending is Ending.COMPLETE else None

    pid = bench.until(goes_on, PATIENCE_S)
    assert not jobs.Steps._initialized
    bench.close()
    assert steps.read_text().splitlines()[-2:] == [f"start {pid}", f"stop {pid}"]


def test_services_that_do_not_shut_down_keep_no_process_alive(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "SERVICES_END_S", 0.2)
    pid = result_of(bench.run(registry["OnStays"]))
    bench.pool.close()
    bench.pool.join(PATIENCE_S)
    assert not is_alive(pid)


# How a handler travels


def test_a_handler_that_can_not_be_imported_in_its_process_is_held(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "fleeting.py"
    path.write_text("def handler(payload): pass\n")
    sys.path.insert(0, str(tmp_path))
    try:
        handler = __import__("fleeting").handler
        path.write_text("import nowhere_at_all\n")
        job = bench.run(handler)
    finally:
        sys.path.remove(str(tmp_path))
        del sys.modules["fleeting"]
    assert job.ending is Ending.HOLD
    assert job.reason == ("fleeting.handler can't be imported: ModuleNotFoundError: No module named 'nowhere_at_all'")


def test_what_no_process_can_import_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def local(payload: dict[str, Any]) -> None: ...

    for function, why in (
        (lambda payload: payload, "it is a lambda"),
        (local, "it is defined inside a function"),
        (partial(jobs.pid), "it is an object, not a function"),
    ):
        with pytest.raises(TypeError, match=f"task 'job'.*can't run in a process of its own.*{why}"):
            ticket_for(Handler("job", function))
    monkeypatch.setattr(jobs, "pid", jobs.echo)
    with pytest.raises(TypeError, match="under the name note is not this function"):
        ticket_for(Handler("job", _named_note))
    with pytest.raises(TypeError, match="the options of task 'job' can't be passed"):
        ticket_for(Handler("job", jobs.echo, Policy(on_error=lambda _task, _error: True)))


def test_handlers_are_found_again_by_their_tickets() -> None:
    for handler in (
        registry["decorated"],
        registry["OnSteps"],
        Handler("job", jobs.echo, Policy(max_retries=7, give_up_on=LookupError)),
        Handler("other", registry["decorated"].function, Policy(max_retries=1)),
    ):
        found = handler_for(ticket_for(handler))
        assert (found.name, found.function, found.policy) == (handler.name, handler.function, handler.policy)


def _named_note(payload: dict[str, Any]) -> None: ...


_named_note.__module__, _named_note.__qualname__ = jobs.__name__, "note"
