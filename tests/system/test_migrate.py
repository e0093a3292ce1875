"""A hand-made Redis queue is moved: all of it, once, whatever interrupts, and nothing else is touched."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
import redis

import singleton_service
from singleton_service.background.engine.binary import find_server
from singleton_service.background.migrate import mover
from singleton_service.background.migrate.__main__ import main
from singleton_service.background.task_queue import TaskQueueService, TaskStatus
from singleton_service.background.task_queue.link import Link
from singleton_service.background.worker import WorkerService
from tests.conftest import REDIS_SERVER, WITHOUT_REDIS, RedisServer, clean_process, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

FOREIGN = {"task:list": "a word of somebody's", "task_queues": "x", "other:task:1": "y", "tasks": "z"}


class Old:
    """The hand-made queue, with its own way of writing."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def enqueue(
        self, payload: str = '{"n": 1}', *, delay_s: float = 0, task_id: str | None = None, **fields: Any
    ) -> str:
        task_id = task_id or str(uuid.uuid4())
        written = {
            "id": task_id,
            "name": "send_email",
            "payload": payload,
            "status": "pending",
            "created_at": "2024-05-06T07:08:09.123456",
            "started_at": "None",
            "completed_at": "None",
            "error_message": "None",
            "retry_count": 0,
            "max_retries": 3,
            **fields,
        }
        self.client.hset(f"task:{task_id}", mapping=written)
        if delay_s:
            self.client.zadd("delayed_tasks", {task_id: time.time() + delay_s})
        else:
            self.client.lpush("task_queue", task_id)
        return task_id

    def take(self) -> str:
        """What an old worker does before it dies."""
        task_id: str | None = self.client.rpop("task_queue")
        assert task_id is not None
        self.client.hset(f"task:{task_id}", mapping={"status": "running", "started_at": "2024-05-06T07:09:00"})
        return task_id

    def everything(self) -> dict[str, Any]:
        """All keys that no new queue wrote."""
        return {key: self._value(key) for key in self.client.scan_iter() if not key.startswith("tasks:")}

    def _value(self, key: str) -> Any:
        kind = self.client.type(key)
        if kind == "hash":
            return self.client.hgetall(key)
        if kind == "list":
            return self.client.lrange(key, 0, -1)
        return self.client.zrange(key, 0, -1, withscores=True) if kind == "zset" else self.client.get(key)


@pytest.fixture(params=["redis", "valkey"])
def old(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Old]:
    if request.param == "redis" and REDIS_SERVER is None:
        pytest.skip(WITHOUT_REDIS)
    binary = REDIS_SERVER if request.param == "redis" else str(find_server())
    server = RedisServer(tmp_path, binary=binary).start()
    for name in [name for name in os.environ if name.startswith(("TASKS_", "REDIS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("REDIS_URL", server.url)
    monkeypatch.chdir(tmp_path)
    try:
        with (
            clean_process(),
            redis.Redis(port=server.port, decode_responses=True, encoding_errors="backslashreplace") as client,
        ):
            for name, value in FOREIGN.items():
                client.set(name, value)
            yield Old(client)
            assert {name: client.get(name) for name in FOREIGN} == FOREIGN, "they are somebody else's"
    finally:
        server.kill()


def moved(task_id: str) -> Any:
    task = TaskQueueService.get_task_status(f"default.={task_id}")
    assert task is not None, task_id
    return task


def migrate(*arguments: str) -> int:
    status = main(arguments)
    assert not TaskQueueService._initialized
    return status


def test_a_look_changes_nothing_and_tells_what_there_is(old: Old, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        old.enqueue()
    old.take()
    old.enqueue(delay_s=600)
    bad = old.enqueue("{not json")
    before = old.everything()
    assert migrate() == 0
    assert old.everything() == before
    told = capsys.readouterr().out
    for line in ("2 ready", "1 delayed", "1 taken by an old worker", "1 can't be read", "Nothing was changed"):
        assert line in told, told
    assert f"task:{bad}: its payload is not JSON" in told
    assert not old.client.exists("tasks:queues")


def test_ready_tasks_keep_their_order_and_delayed_ones_their_time(old: Old) -> None:
    ready = [old.enqueue(json.dumps({"n": n})) for n in range(250)]
    later = old.enqueue(delay_s=600, name="remind", payload='{"who": "Zoë"}', status="retrying", retry_count=2)
    due = old.client.zscore("delayed_tasks", later)
    assert migrate("--move") == 0
    task = moved(later)
    assert (task.name, task.payload, task.max_retries) == ("remind", {"who": "Zoë"}, 1)
    assert abs(task.eta.timestamp() - due) < 0.002
    order = [TaskQueueService.get_next_task(timeout=1) for _ in ready]
    assert [task.id for task in order if task] == [f"default.={task_id}" for task_id in ready]
    assert [task.payload["n"] for task in order if task] == list(range(250))
    assert set(old.everything()) == set(FOREIGN)
    assert not old.client.exists("tasks:moving")


def test_they_run_here(old: Old) -> None:
    ids = [old.enqueue(json.dumps({"n": n})) for n in range(20)]
    ids.append(old.enqueue('{"n": 20}', delay_s=0.1))
    assert migrate("--move") == 0
    TaskQueueService.register_handler("send_email", lambda payload: payload["n"] * 2)
    WorkerService.start_workers(2)
    results = [TaskQueueService.get_result(f"default.={task_id}", timeout=10) for task_id in ids]
    assert results == [2 * n for n in range(21)]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"payload": "{"}, "its payload is not JSON"),
        ({"payload": "[1]"}, "its payload is a list, not an object"),
        ({"payload": b"\xff"}, "its payload is not UTF-8"),
        ({"payload": json.dumps({"x": "y" * 2_000_000})}, "at most 1,048,576 are allowed"),
        ({"name": "None"}, "it has no name"),
        ({"name": "x" * 201}, "task name"),
        ({"status": "sleeping"}, "its status is 'sleeping'"),
        ({"max_retries": "many"}, "its max_retries is 'many', not a number"),
        ({"retry_count": "1.5"}, "its retry_count is '1.5', not a number"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_read_is_left_where_it_is_and_named(
    old: Old, capsys: pytest.CaptureFixture[str], fields: dict[str, Any], why: str
) -> None:
    first, bad, last = old.enqueue(), old.enqueue(**fields), old.enqueue()
    for _ in range(2):
        before = old.everything()
        assert migrate("--move") == 0
        told = capsys.readouterr().out
        assert f"task:{bad}: " in told
        assert why in told
    assert old.everything() == before
    assert old.client.lrange("task_queue", 0, -1) == [bad]
    assert {moved(first).status, moved(last).status} == {TaskStatus.PENDING}


def test_an_id_without_a_hash_a_strange_due_time_and_a_hash_that_is_none_are_named(
    old: Old, capsys: pytest.CaptureFixture[str]
) -> None:
    old.client.lpush("task_queue", "nobody")
    old.client.lpush("task_queue", "list")
    never = old.enqueue(delay_s=1)
    old.client.zadd("delayed_tasks", {never: float("inf")})
    assert migrate("--move") == 0
    told = capsys.readouterr().out
    assert "task:nobody: it has no hash" in told
    assert "task:list: it is a string, not a hash" in told
    assert f"task:{never}: it is due at inf, which is no time" in told
    assert old.client.lrange("task_queue", 0, -1) == ["list", "nobody"]
    assert old.client.zcard("delayed_tasks") == 1


def test_what_only_has_the_name_of_the_list_is_left_alone(old: Old, capsys: pytest.CaptureFixture[str]) -> None:
    old.client.set("task_queue", "somebody's")
    later = old.enqueue(delay_s=600)
    assert migrate("--move") == 0
    assert "task_queue: it is a string, not a list" in capsys.readouterr().out
    assert old.client.get("task_queue") == "somebody's"
    assert moved(later).status is TaskStatus.PENDING


def test_what_an_old_worker_took_stays_unless_it_is_asked_for(old: Old, capsys: pytest.CaptureFixture[str]) -> None:
    taken = old.enqueue()
    assert old.take() == taken
    done = old.enqueue(status="completed", result="{}")
    old.client.lrem("task_queue", 0, done)
    assert migrate("--move") == 0
    assert f"task:{taken}" in capsys.readouterr().out
    assert old.client.hget(f"task:{taken}", "status") == "running"
    assert migrate("--move", "--with-taken") == 0
    assert moved(taken).status is TaskStatus.PENDING
    assert set(old.everything()) == {*FOREIGN, f"task:{done}"}, "what has ended stays to be looked at"


def test_a_task_that_stands_in_the_lists_several_times_is_moved_once(
    old: Old, capsys: pytest.CaptureFixture[str]
) -> None:
    # The old promotion of due tasks was not atomic: six workers made 1,800 places of 300 tasks.
    ids = [old.enqueue() for _ in range(150)]
    for task_id in ids * 5:
        old.client.lpush("task_queue", task_id)
    old.client.zadd("delayed_tasks", dict.fromkeys(ids[:10], time.time()))
    assert migrate() == 0
    assert "150 ready" in capsys.readouterr().out
    assert migrate("--move") == 0
    assert "150 ready" in capsys.readouterr().out
    assert TaskQueueService.get_queue_stats()["tasks_queued"] == 150
    assert set(old.everything()) == set(FOREIGN)


def test_ids_that_cannot_be_ours_are_moved_all_the_same(old: Old) -> None:
    for task_id in ("with space", "ümlaut", "a|b|c", "x" * 200, "{braces}"):
        old.enqueue(task_id=task_id)
    assert migrate("--move") == 0
    assert TaskQueueService.get_queue_stats()["pending_tasks"] == 5
    assert set(old.everything()) == set(FOREIGN)


def test_it_can_be_repeated_while_the_old_producers_still_write(old: Old) -> None:
    for total in (3, 6):
        for _ in range(3):
            old.enqueue()
        assert migrate("--move") == 0
        assert TaskQueueService.get_queue_stats()["tasks_queued"] == total
        singleton_service.stop()
    assert migrate("--move") == 0
    assert TaskQueueService.get_queue_stats()["tasks_queued"] == 6


def test_an_old_worker_that_still_runs_and_the_move_never_get_the_same_task(old: Old, in_thread: Any) -> None:
    ids = [old.enqueue() for _ in range(1500)]
    taken: list[str] = []

    def work() -> None:
        with redis.from_url(os.environ["REDIS_URL"], decode_responses=True) as client:
            worker = Old(client)
            while client.llen("task_queue"):
                with suppress(AssertionError):  # it was emptied meanwhile
                    taken.append(worker.take())

    working = in_thread(work)
    wait_until(lambda: taken)
    assert migrate("--move") == 0
    working.join()
    here: Any = old.client
    moved_ids = {uid.removeprefix("=") for uid in here.hkeys("tasks:{default}:body")}
    assert moved_ids
    assert not moved_ids & set(taken)
    assert moved_ids | set(taken) == set(ids)


class DeathError(BaseException):
    """The process dies here, as far as the two servers can tell."""


@pytest.mark.parametrize("is_answered", [False, True], ids=["before it was sent", "before its answer came"])
def test_wherever_it_is_interrupted_the_next_run_finishes_it(
    old: Old,
    monkeypatch: pytest.MonkeyPatch,
    is_answered: bool,  # noqa: FBT001 - a parameter
) -> None:
    monkeypatch.setattr(mover, "PAGE", 2)
    run: Callable[..., Any] = Link.run
    total = 0
    for dies_at in range(1, 1000):
        ids = [old.enqueue() for _ in range(3)] + [old.enqueue(delay_s=600) for _ in range(2)]
        taken = old.enqueue()
        old.client.lrem("task_queue", 0, taken)
        calls = 0

        def dying(link: Link, commands: Sequence[Any], dies_at: int = dies_at) -> Any:
            nonlocal calls
            # What dies in the middle of a start leaves open sockets, and another test's warning.
            if commands[0][0] == b"PING":
                return run(link, commands)
            calls += 1
            if calls == dies_at and not is_answered:
                raise DeathError
            answer = run(link, commands)
            if calls == dies_at:
                raise DeathError
            return answer

        with monkeypatch.context() as patch:
            patch.setattr(Link, "run", dying)
            try:
                migrate("--move", "--with-taken")
                is_over = True
            except DeathError:
                is_over = False
        assert migrate("--move", "--with-taken") == 0
        total += 6
        assert all(moved(task_id) for task_id in [*ids, taken])
        assert TaskQueueService.get_queue_stats()["tasks_queued"] == total
        singleton_service.stop()
        assert set(old.everything()) == set(FOREIGN)
        assert not old.client.exists("tasks:moving")
        if is_over:
            assert dies_at > 15
            return


def test_killed_again_and_again_it_loses_none_and_doubles_none(old: Old, tmp_path: Path) -> None:
    ids = [old.enqueue(json.dumps({"n": n}), delay_s=600 * (n % 3 == 0)) for n in range(2500)]
    here: Any = old.client
    kills = 0
    while True:
        before = here.hlen("tasks:{default}:body")
        with subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "singleton_service.background.migrate", "--move"],
            stdout=subprocess.DEVNULL,
            env=os.environ,
        ) as process:
            goal = before + random.randint(50, 500)
            wait_until(lambda: process.poll() is not None or here.hlen("tasks:{default}:body") >= goal)  # noqa: B023
            process.send_signal(signal.SIGKILL)
            kills += process.wait() == -signal.SIGKILL
        if process.returncode == 0:
            break
    assert kills >= 3
    assert TaskQueueService.get_queue_stats()["tasks_queued"] == 2500
    assert set(here.hkeys("tasks:{default}:body")) == {f"={task_id}" for task_id in ids}
    assert set(old.everything()) == set(FOREIGN)
    assert not here.exists("tasks:moving")


def test_into_the_embedded_server_from_another(
    old: Old, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old.enqueue()
    url = os.environ["REDIS_URL"]
    monkeypatch.delenv("REDIS_URL")
    monkeypatch.setenv("TASKS_DATA_DIR", str(tmp_path / "d"))
    assert migrate("--move") == 2
    assert "Where is the old queue?" in capsys.readouterr().err
    assert migrate("--move", "--from", url) == 0
    assert TaskQueueService.get_queue_stats()["pending_tasks"] == 1
    assert set(old.everything()) == set(FOREIGN)
    singleton_service.stop()
    wait_until(lambda: not (tmp_path / "d" / "server.sock").exists())


def test_a_server_that_is_away_is_one_sentence(
    old: Old, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert migrate("--from", "redis://user:secret@127.0.0.1:1/0") == 1
    said = capsys.readouterr().err
    assert "is not available" in said
    assert "secret" not in said
    assert "Traceback" not in said
