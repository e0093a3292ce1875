"""A worker's own truth about itself: on a page, in a file, to systemd, and by its end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.task_queue import TaskQueueService
from singleton_service.background.worker import HealthProbeError, WorkerService
from singleton_service.background.worker.health_watch import STALLED_EXIT_STATUS, HealthWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.faults.proxy import Proxy
    from tests.faults.servers import PlainServer

PROGRAM = Path(__file__).with_name("programs") / "standalone_worker.py"
Start = "Callable[..., subprocess.Popen[bytes]]"


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def start(line: Proxy, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a worker process at the other end of the line; what it says is in a file."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TASKS_", "REDIS_"))}
    started = []

    def run(*arguments: str, **variables: str) -> subprocess.Popen[bytes]:
        with (tmp_path / "worker.out").open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-W", "error", PROGRAM, *arguments],
                env={**kept, "REDIS_URL": line.url, **variables},
                cwd=tmp_path,
                stdout=output,
                stderr=output,
            )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()


def asked(port: int, page: str) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/{page}", timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, json.load(refusal)


def answers(port: int, page: str) -> int:
    """Return the status of a page; 0 while nobody listens."""
    try:
        return asked(port, page)[0]
    except OSError:
        return 0


def test_a_loop_that_hangs_on_a_half_open_connection_turns_unready_then_ends_the_process(
    start: Any, line: Proxy, port: int, tmp_path: Path, at_end: Any, until: Any, application: None
) -> None:
    file = tmp_path / "health"
    settings = {"TASKS_HEALTH_PORT": str(port), "TASKS_HEALTH_FILE": str(file), "TASKS_STALL_SECONDS": "1.5"}
    worker = start("--patient", **settings)
    until(lambda: answers(port, "ready") == 200)
    assert TaskQueueService.get_result(TaskQueueService.enqueue_task("begin", {"n": 1}), timeout=10) == 1
    until(lambda: file.read_text() == "ready\n")

    # Its next fetch goes nowhere, while its heartbeat finds another connection: the roster sees a worker that lives.
    line.forget()
    task_id = TaskQueueService.enqueue_task("begin", {"n": 2})
    until(lambda: answers(port, "ready") == 503)
    until(lambda: answers(port, "live") == 503)
    status, said = asked(port, "live")
    assert (status, said["live"], said["ready"]) == (503, False, False)
    assert "its fetch loop has stood still" in said["reason"]
    assert [info.pid for info in WorkerService.list_workers()] == [worker.pid]
    written_at = file.stat().st_mtime_ns

    assert at_end(worker) == STALLED_EXIT_STATUS
    assert file.stat().st_mtime_ns == written_at, "a loop that stands still writes no file"
    words = (tmp_path / "worker.out").read_text()
    assert "the fetch loop has stood still for" in words
    assert "_bear_silence" in words or "_reply" in words or "read_response" in words, "it says where it stands"

    # Whoever is started in its place does the work.
    start()
    assert TaskQueueService.get_result(task_id, timeout=20) == 2


def test_a_half_open_connection_is_no_reason_to_end_for_one_that_finds_out(
    start: Any, line: Proxy, tmp_path: Path, at_end: Any, until: Any, application: None
) -> None:
    file = tmp_path / "health"
    worker = start(TASKS_HEALTH_FILE=str(file), TASKS_STALL_SECONDS="0.8")
    until(lambda: file.exists() and file.read_text() == "ready\n")
    line.forget()
    task_id = TaskQueueService.enqueue_task("begin", {"n": 2})
    assert TaskQueueService.get_result(task_id, timeout=10) == 2
    # Written each fifth of a second while its loop goes round: for longer than it takes to end one that stands still.
    written: set[int] = set()

    def is_written_on() -> bool:
        written.add(file.stat().st_mtime_ns)
        return len(written) > 12

    until(is_written_on)
    worker.send_signal(signal.SIGTERM)
    assert at_end(worker) == 0


def test_while_the_server_is_away_a_worker_is_live_and_not_ready(
    start: Any, line: Proxy, port: int, server: PlainServer, until: Any, at_end: Any
) -> None:
    line.hold()
    worker = start(TASKS_HEALTH_PORT=str(port))
    until(lambda: answers(port, "live") == 200)
    assert asked(port, "ready") == (503, {"live": True, "ready": False, "reason": "its workers have not started"})
    line.calm()
    until(lambda: answers(port, "ready") == 200)
    line.hold()
    until(lambda: answers(port, "ready") == 503)
    status, said = asked(port, "live")
    assert (status, said["live"]) == (200, True)
    assert "is not available" in said["reason"]
    line.calm()
    until(lambda: answers(port, "ready") == 200)
    worker.send_signal(signal.SIGTERM)
    assert at_end(worker) == 0


def test_a_process_that_was_stopped_for_long_is_not_taken_for_stalled(
    start: Any, port: int, until: Any, at_end: Any
) -> None:
    worker = start(TASKS_HEALTH_PORT=str(port), TASKS_STALL_SECONDS="0.4")
    until(lambda: answers(port, "ready") == 200)
    worker.send_signal(signal.SIGSTOP)
    stopped_at = time.monotonic()
    until(lambda: time.monotonic() - stopped_at > 2)
    worker.send_signal(signal.SIGCONT)
    until(lambda: answers(port, "ready") == 200)
    worker.send_signal(signal.SIGTERM)
    assert at_end(worker) == 0


def test_systemd_hears_that_it_is_ready_that_it_moves_and_that_it_stops(
    start: Any, tmp_path: Path, at_end: Any
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(20)
        worker = start(NOTIFY_SOCKET=str(tmp_path / "notify"))
        heard = [listener.recv(200)]
        while heard[-1] != b"WATCHDOG=1" or b"READY=1\nSTATUS=takes tasks" not in heard:
            heard.append(listener.recv(200))
        worker.send_signal(signal.SIGTERM)
        while not heard[-1].startswith(b"STOPPING=1"):
            heard.append(listener.recv(200))
        assert at_end(worker) == 0


def test_a_probe_that_says_nothing_holds_up_no_other(queue: Any, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKS_HEALTH_PORT", str(port))
    WorkerService.start_workers(1)
    with socket.create_connection(("127.0.0.1", port)):
        assert asked(port, "ready") == (200, {"live": True, "ready": True, "reason": ""})
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5)
        refused.value.close()
        assert refused.value.code == 404
        request = urllib.request.Request(f"http://127.0.0.1:{port}/health/live", method="HEAD")
        with urllib.request.urlopen(request, timeout=5) as answer:
            assert (answer.status, answer.read()) == (200, b"")
        WorkerService.stop_workers()
    assert answers(port, "live") == 0
    WorkerService.start_workers(1)
    assert answers(port, "ready") == 200


def test_a_place_that_cannot_be_used_is_said_before_a_worker_starts(
    queue: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        monkeypatch.setenv("TASKS_HEALTH_PORT", str(taken))
        monkeypatch.setenv("TASKS_HEALTH_FILE", str(tmp_path / "health"))
        with pytest.raises(HealthProbeError, match=rf"127.0.0.1:{taken} \(TASKS_HEALTH_PORT\): Address already in use"):
            WorkerService.start_workers(1)
    assert not (tmp_path / "health").exists()
    assert WorkerService.get_worker_stats()["total_workers"] == 0


def test_a_file_that_cannot_be_written_is_said_before_a_worker_starts(
    queue: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKS_HEALTH_FILE", "/nowhere/health")
    with pytest.raises(HealthProbeError, match=r"/nowhere/health \(TASKS_HEALTH_FILE\): No such file"):
        WorkerService.start_workers(1)
    assert WorkerService.get_worker_stats()["total_workers"] == 0


def test_within_an_application_a_loop_that_stands_still_is_told_and_ends_nothing(
    queue: Any, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKS_STALL_SECONDS", "0.2")
    ended: list[float] = []
    monkeypatch.setattr("singleton_service.background.worker.health_watch.end_process", ended.append)
    WorkerService.start_workers(1)
    crew, watch = WorkerService._crew, WorkerService._watch
    assert crew is not None
    assert watch is not None
    until(WorkerService.health_check)
    with monkeypatch.context() as standing:
        standing.setattr(type(crew), "rounds", 0)
        until(lambda: not WorkerService.health_check())
        until(lambda: watch._standstill.seconds > 0.6)
        assert not ended
        watch.is_standalone = True
        until(lambda: ended)
        watch.is_standalone = False
    until(WorkerService.health_check)


def test_what_health_there_is_goes_with_the_workers(
    queue: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "health"
    monkeypatch.setenv("TASKS_HEALTH_FILE", str(file))
    assert not WorkerService.health_check()
    WorkerService.start_workers(1)
    assert file.exists()
    watch = WorkerService._watch
    assert isinstance(watch, HealthWatch)
    WorkerService.stop_workers()
    assert not file.exists()
    assert WorkerService._watch is None
    assert str(watch.health()) == "not ready: it is being stopped"
