"""What the doctor finds on real servers, and whether its fix is one."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from singleton_service.background.cli.doctor import doctor_command
from singleton_service.background.cli.health import health_command
from singleton_service.background.config import ConfigService, Settings
from singleton_service.background.doctor import Finding, Verdict, examine
from singleton_service.background.task_queue import TaskQueueService, TaskRequest
from singleton_service.background.task_queue.worker_ids import this_host
from singleton_service.background.worker import WorkerService
from singleton_service.background.worker.crew import Crew

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Surroundings
    from tests.faults.servers import PlainServer

    from .conftest import Workers

Queue = type[TaskQueueService]
ROOT = Path(__file__).parents[2]
OK, WARNING, PROBLEM = Verdict
on_one_engine = pytest.mark.parametrize("surroundings", ["embedded"], indirect=True)


def found(check: str, settings: Settings | None = None) -> Finding:
    (finding,) = [each for each in examine(settings) if each.check == check]
    return finding


def verdict_of(check: str) -> Verdict:
    return found(check).verdict


def call(*arguments: str, cwd: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "singleton_service", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**environment, "PYTHONPATH": str(ROOT)},
        timeout=60,
        check=False,
    )


def test_a_queue_at_work_is_well(queue: Queue, surroundings: Surroundings) -> None:
    queue.register_handler("count", lambda payload: payload["n"])
    WorkerService.start_workers(2)
    queue.enqueue_many(TaskRequest("count", {"n": n}) for n in range(20))
    assert WorkerService.wait_for_completion(timeout=20)
    verdicts = {finding.check: finding.verdict for finding in examine()}
    # The tests' own redis-server keeps nothing on its disk.
    expected = PROBLEM if surroundings.engine == "redis" else OK
    assert verdicts.pop("persistence") is expected
    assert ("data directory" in verdicts) is (surroundings.engine == "embedded")
    assert set(verdicts.values()) == {OK}


def test_looking_changes_nothing(queue: Queue, server: PlainServer) -> None:
    settings = Settings(redis_url=server.url)
    before = examine(settings)
    assert server.admin.keys("*") == []
    assert [finding.verdict for finding in examine(settings)] == [finding.verdict for finding in before]


def test_a_server_that_forgets_is_found_and_each_fix_is_one(server: PlainServer) -> None:
    settings = Settings(redis_url=server.url)
    server.admin.config_set("maxmemory", "100mb")
    server.admin.config_set("maxmemory-policy", "allkeys-lru")
    server.admin.config_set("appendonly", "no")
    for check in ("eviction", "persistence"):
        finding = found(check, settings)
        assert finding.verdict is PROBLEM
        words = re.match(r"CONFIG SET (\S+) (\w+)", finding.fix)
        assert words
        server.admin.config_set(*words.groups())
        assert found(check, settings).verdict is OK


def test_a_durability_that_cannot_be_given_is_found(server: PlainServer) -> None:
    finding = found("persistence", Settings(redis_url=server.url, durability="replica"))
    assert (finding.verdict, "replica" in finding.finding) == (PROBLEM, True)


def test_a_server_that_tells_no_settings_is_looked_at_all_the_same(server: PlainServer) -> None:
    server.admin.execute_command("ACL", "SETUSER", "guest", "on", ">secret", "~*", "&*", "+@all", "-config")
    settings = Settings(redis_url=f"redis://guest:secret@127.0.0.1:{server.port}/0")
    assert found("persistence", settings).finding == "append-only file"
    assert "secret" not in found("server", settings).finding


def test_a_server_that_refuses_to_tell_of_its_queues_is_a_finding(server: PlainServer) -> None:
    server.admin.execute_command("ACL", "SETUSER", "guest", "on", ">secret", "~*", "&*", "+@all", "-smembers")
    findings = examine(Settings(redis_url=f"redis://guest:secret@127.0.0.1:{server.port}/0"))
    assert findings[0].verdict is OK
    assert (findings[-1].check, findings[-1].verdict) == ("queues", PROBLEM)
    assert "secret" not in findings[-1].finding


def test_a_name_that_no_worker_knows_is_found_until_one_comes_that_does(queue: Queue, until: Any) -> None:
    queue.register_handler("send_email", lambda payload: "sent")
    queue.enqueue_task("sned_email")
    WorkerService.start_workers(1)
    until(lambda: verdict_of("held") is PROBLEM)
    assert "'sned_email'" in found("held").finding
    queue.register_handler("sned_email", lambda payload: "sent")
    until(lambda: verdict_of("held") is OK)


def test_tasks_without_a_worker_paused_ones_and_failures_are_found(queue: Queue, until: Any) -> None:
    def slow(payload: dict[str, Any]) -> None:
        until(lambda: False)

    queue.register_handler("slow", slow, timeout=0.1, max_retries=0)
    queue.enqueue_task("slow")
    queue.enqueue_task("later", queue="mail", delay_seconds=3600)
    finding = found("workers")
    assert (finding.verdict, "mail has 1 task and no worker" in finding.finding) == (PROBLEM, True)
    queue.pause_queue("mail")
    assert verdict_of("paused") is WARNING
    queue.resume_queue("mail")
    WorkerService.start_workers(1, queues="default,mail")
    until(lambda: found("failed").finding == "1 x slow (TaskTimeoutError)")
    assert verdict_of("workers") is OK
    assert verdict_of("paused") is OK


def test_what_a_dead_worker_held_is_found_where_nobody_hands_it_on(queue: Queue, workers: Workers, until: Any) -> None:
    queue.enqueue_task("sleep_once", {"n": 1, "seconds": 60})
    worker = workers.start(threads=1)
    until(lambda: workers.count("begin"))
    assert verdict_of("leases") is OK
    worker.kill()
    until(lambda: verdict_of("leases") is PROBLEM)
    assert f"{this_host()}:{worker.pid}:" in found("leases").finding
    workers.start(threads=1)
    until(lambda: verdict_of("leases") is OK)
    until(lambda: workers.count("end"))


def test_a_coroutine_that_blocked_the_event_loop_is_found_with_its_line(
    queue: Queue, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crunch(payload: dict[str, Any]) -> None:
        time.sleep(0.5)  # noqa: ASYNC251 - what it should not do

    monkeypatch.setenv("TASKS_BLOCKED_LOOP_SECONDS", "0.1")
    queue.register_handler("crunch", crunch)
    WorkerService.start_workers(1)
    # On a busy machine one may go unseen.
    until(lambda: queue.enqueue_task("crunch", unique_key="crunch") and verdict_of("event loop") is WARNING)
    said = found("event loop").finding
    assert "(crunch)" in said
    assert "test_doctor.py, line " in said


@on_one_engine
def test_a_worker_that_lives_and_fetches_nothing_is_found_until_it_moves(
    queue: Queue, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKS_STALL_SECONDS", "0.2")
    WorkerService.start_workers(1)
    with monkeypatch.context() as standing:
        standing.setattr(Crew, "rounds", 0)
        until(lambda: verdict_of("fetching") is PROBLEM)
        assert f":{os.getpid()}:" in found("fetching").finding
        health = CliRunner().invoke(health_command)
        assert (health.exit_code, health.stderr) == (1, "no worker takes from any queue; 1 stands still\n")
    until(lambda: verdict_of("fetching") is OK)


def test_a_queue_of_a_newer_version_is_found(queue: Queue) -> None:
    queue.enqueue_task("x")
    client = queue._open_client()
    client.link.call(b"HSET", client.protocol("default").keys.key("settings"), b"protocol", 99)
    assert verdict_of("protocol") is PROBLEM


@on_one_engine
def test_the_command_prints_what_is_wrong_and_ends_with_it(
    queue: Queue, surroundings: Surroundings, tmp_path: Path
) -> None:
    queue.register_handler("x", lambda payload: None)
    queue.enqueue_task("x")
    ran = call("doctor", cwd=tmp_path, environment=surroundings.environment)
    assert (ran.returncode, ran.stderr) == (1, "")
    assert re.fullmatch(r"\d problems?( and \d warnings?)?", ran.stdout.splitlines()[-1])
    assert re.search(r"^problem  workers +default has 1 task and no worker$", ran.stdout, re.MULTILINE)
    assert re.search(r"^ +try: singleton-service worker MODULE", ran.stdout, re.MULTILINE)
    as_json = CliRunner().invoke(doctor_command, ["--json"])
    told = json.loads(as_json.stdout)
    assert (as_json.exit_code, told["verdict"]) == (1, "problem")
    assert {"check", "verdict", "finding", "fix"} == set(told["findings"][0])
    WorkerService.start_workers(1)
    assert CliRunner().invoke(doctor_command).exit_code == 0


@on_one_engine
def test_on_a_narrow_terminal_it_is_set_below_itself_and_without_colours_if_so_wished(
    queue: Queue, surroundings: Surroundings, tmp_path: Path
) -> None:
    def shown(**variables: str) -> str:
        parent, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 60, 0, 0))
        environment = {**surroundings.environment, "TERM": "xterm", "PYTHONPATH": str(ROOT), **variables}
        command = [sys.executable, "-m", "singleton_service", "doctor"]
        ran = subprocess.run(command, cwd=tmp_path, env=environment, stdout=child, timeout=60, check=False)
        os.close(child)
        assert ran.returncode == 0
        said = b""
        with suppress(OSError):  # the end of what a terminal has to say
            while chunk := os.read(parent, 4096):
                said += chunk
        os.close(parent)
        return said.decode()

    assert "\x1b[32mok" in shown(COLUMNS="60")
    plain = shown(COLUMNS="60", NO_COLOR="1")
    assert "\x1b[3" not in plain
    assert max(len(re.sub(r"\x1b\[\d+m", "", line)) for line in plain.splitlines()) <= 60


def test_the_command_says_that_a_server_is_away(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "REDIS_URL": "redis://:secret@127.0.0.1:1/0"}
    ran = call("doctor", cwd=tmp_path, environment=environment)
    assert ran.returncode == 3
    assert ran.stdout.startswith("problem  reachable  redis://:***@127.0.0.1:1/0 is not available: ")
    health = call("health", cwd=tmp_path, environment=environment)
    assert (health.returncode, health.stdout, len(health.stderr.splitlines())) == (3, "", 3)


@on_one_engine
def test_health_counts_the_workers_that_live(queue: Queue, until: Callable[..., Any]) -> None:
    def health(*arguments: str) -> tuple[int, str, str]:
        ran = CliRunner().invoke(health_command, arguments)
        return ran.exit_code, ran.stdout, ran.stderr

    assert health() == (1, "", "no worker takes from any queue\n")
    WorkerService.start_workers(1, queues="default,mail")
    until(lambda: health("--queue", "mail")[0] == 0)  # once it has told the server of itself
    assert health("--here", "--queue", "mail") == (0, "ok: 1 worker, 0 tasks running\n", "")
    assert health("--queue", "mail", "--queue", "video") == (1, "", "no worker takes from video\n")
    code, said, _ = health("--json")
    told = json.loads(said)
    assert (code, told["healthy"], told["workers"][0]["pid"]) == (0, True, os.getpid())


def test_a_data_directory_of_another_user_is_a_finding_and_no_traceback(tmp_path: Path) -> None:
    theirs = Path("/")
    if os.geteuid() == 0:
        theirs = tmp_path / "data"
        theirs.mkdir(mode=0o700)
        os.chown(theirs, 12345, 12345)
    owner = theirs.stat().st_uid
    environment = {"PATH": os.environ["PATH"], "TASKS_DATA_DIR": str(theirs)}
    ran = call("doctor", cwd=tmp_path, environment=environment)
    assert (ran.returncode, "Traceback" in ran.stderr) == (3, False)
    assert f"belongs to user {owner}, this program runs as user {os.geteuid()}" in ran.stdout
    health = call("health", cwd=tmp_path, environment=environment)
    assert (health.returncode, len(health.stderr.splitlines())) == (3, 3)


def test_settings_that_cannot_be_used_are_said(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "TASKS_LEASE_SECONDS": "1"}
    ran = call("doctor", cwd=tmp_path, environment=environment)
    assert (ran.returncode, "TASKS_LEASE_SECONDS='1'" in ran.stderr) == (2, True)


def test_in_python_the_settings_of_the_process_count(queue: Queue) -> None:
    assert ConfigService.get_config().namespace != "tasks"
    queue.enqueue_task("x")
    assert "default has 1 task and no worker" in found("workers").finding
