"""What becomes of tasks that come while a worker sleeps: the server has them fetched as it wakes it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.task_queue import TaskQueueService, TaskRequest, TaskStatus
from singleton_service.background.worker import WorkerService
from singleton_service.background.worker.wakeup import Request, WakeUp

if TYPE_CHECKING:
    from collections.abc import Iterator

Queue = type[TaskQueueService]
QUEUES = ("critical", "default", "low")


class Bed:
    """A wake-up of this process, and what can be asked about what it holds."""

    def __init__(self, queue: Queue) -> None:
        queue.get_queue_stats()  # connected, and known to the server
        self.client, self.heartbeat = queue._open_client(), queue._open_heartbeat()
        self.protocol = self.client.protocol("default")
        # So that the server has the script, whatever other tests had it forget.
        self.client.read([self.protocol.fetch(0, 0)])
        self.wake_up = WakeUp(self.client, ["critical", "default"], self.heartbeat)

    def arm(self) -> None:
        fetch = self.protocol.fetch(4, 0)
        self.wake_up.arm(Request("default", 4, (), fetch))

    def sleep(self) -> Any:
        self.wake_up.lie_down()
        return self.wake_up.sleep(10)

    def owned(self) -> dict[bytes, bytes]:
        """The server's index of what this process holds: whether each has begun."""
        said = self.client.read([(b"HGETALL", self.protocol.keys.named(("owned",))[0])])[0]
        return dict(zip(said[::2], said[1::2], strict=True))


@pytest.fixture
def bed(queue: Queue) -> Iterator[Bed]:
    bed = Bed(queue)
    yield bed
    bed.wake_up.close()


def test_a_token_comes_with_its_tasks(queue: Queue, bed: Bed) -> None:
    bed.arm()
    task_id = queue.enqueue_task("x")
    woken = bed.sleep()
    assert woken.token == "default"
    assert [lease.id for lease in woken.fetched.leases] == [task_id]
    assert bed.heartbeat.leases.held("default") == woken.fetched.leases
    assert not bed.heartbeat.leases.is_asleep("default")
    # Whoever dies in its sleep has begun nothing.
    assert list(bed.owned().values()) == [b"0"]


def test_a_token_of_another_queue_comes_with_nothing(queue: Queue, bed: Bed) -> None:
    bed.arm()
    queue.enqueue_task("x", queue="critical")
    woken = bed.sleep()
    assert woken.token == "critical"
    assert woken.fetched.leases == []
    assert queue.get_queue_stats("critical")["pending_tasks"] == 1


def test_tasks_come_though_the_server_forgot_its_scripts(queue: Queue, bed: Bed) -> None:
    bed.arm()
    bed.client.read([(b"SCRIPT", b"FLUSH")])
    task_id = queue.enqueue_task("x")
    # An enqueue brings its own script back, and no other.
    assert [lease.id for lease in bed.sleep().fetched.leases] == [task_id]


def test_who_has_left_its_bed_is_given_nothing(queue: Queue, bed: Bed) -> None:
    bed.arm()
    bed.wake_up.disarm()
    queue.enqueue_task("x")
    assert bed.owned() == {}
    assert queue.get_queue_stats()["pending_tasks"] == 1


def test_what_nobody_reads_is_handed_back_when_its_bed_is_left(queue: Queue, bed: Bed, until: Any) -> None:
    bed.heartbeat.watch(["default"])
    bed.arm()
    queue.enqueue_task("x")
    until(bed.owned)
    bed.wake_up.disarm()
    until(lambda: queue.get_queue_stats()["pending_tasks"] == 1)
    assert bed.owned() == {}


def test_no_fetch_falls_asleep_while_leases_are_in_doubt(queue: Queue, bed: Bed) -> None:
    bed.heartbeat.doubt("default")
    bed.arm()
    queue.enqueue_task("x")
    assert bed.sleep().request is None


def asleep(bed: Bed) -> bool:
    """Whether a worker of this process sleeps with a fetch."""
    return any(map(bed.heartbeat.leases.is_asleep, QUEUES))


class Long:
    """A handler that ends when it may."""

    def __init__(self) -> None:
        self.has_begun, self.may_end = threading.Event(), threading.Event()

    def __call__(self, payload: dict[str, Any]) -> str:
        self.has_begun.set()
        assert self.may_end.wait(20)
        return "done"


def test_what_a_sleeper_begins_counts_as_begun(queue: Queue, bed: Bed, until: Any) -> None:
    long = Long()
    queue.register_handler("long", long)
    queue.register_handler("short", lambda payload: "done")
    WorkerService.start_workers(1)
    # From then on it expects more where this one came from.
    queue.get_result(queue.enqueue_task("short"), timeout=10)
    until(lambda: asleep(bed))
    task_id = queue.enqueue_task("long")
    assert long.has_begun.wait(10)
    until(lambda: list(bed.owned().values()) == [b"1"])
    long.may_end.set()
    assert queue.get_result(task_id, timeout=10) == "done"


def test_who_is_woken_with_a_task_runs_it_and_holds_up_nobody(
    queue: Queue, bed: Bed, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[threading.Thread] = []
    ran: list[threading.Thread] = []
    long, sleep = Long(), WakeUp.sleep

    def seen_to_wake(wake_up: WakeUp, timeout_s: float) -> Any:
        said = sleep(wake_up, timeout_s)
        if said is not None and said.fetched is not None and said.fetched.leases:
            woken.append(threading.current_thread())
        return said

    def seen_to_run(payload: dict[str, Any]) -> str:
        ran.append(threading.current_thread())
        return long(payload)

    queue.register_handler("long", seen_to_run)
    queue.register_handler("short", lambda payload: "done")
    WorkerService.start_workers(2)
    queue.get_result(queue.enqueue_task("short"), timeout=10)
    until(lambda: asleep(bed))
    monkeypatch.setattr(WakeUp, "sleep", seen_to_wake)
    queue.get_result(queue.enqueue_task("short"), timeout=10)
    until(lambda: asleep(bed))
    woken.clear()
    task_id = queue.enqueue_task("long")
    assert long.has_begun.wait(10)
    # Somebody else has the dispatcher's part by now.
    assert queue.get_result(queue.enqueue_task("short"), timeout=10) == "done"
    assert ran == woken[:1]
    long.may_end.set()
    assert queue.get_result(task_id, timeout=10) == "done"


def test_what_comes_for_a_room_that_is_taken_by_then_is_handed_back_uncounted(
    queue: Queue, bed: Bed, until: Any
) -> None:
    long = Long()
    queue.register_handler("long", long)
    queue.register_handler("short", lambda payload: "done")
    WorkerService.start_workers(1)
    queue.get_result(queue.enqueue_task("short"), timeout=10)
    until(lambda: asleep(bed))
    # When this is due the worker asks for it, while its other fetch sleeps on.
    first = queue.enqueue_task("long", delay_seconds=0.2)
    assert long.has_begun.wait(10)
    second = queue.enqueue_task("short")
    until(lambda: not asleep(bed) and len(bed.owned()) == 1)
    until(lambda: queue.get_queue_stats()["pending_tasks"] == 1)
    long.may_end.set()
    assert queue.get_result(first, timeout=10) == queue.get_result(second, timeout=10) == "done"
    done = queue.get_task_status(second)
    assert done is not None
    assert (done.status, done.retry_count, done.errors) == (TaskStatus.COMPLETED, 0, ())


def test_a_worker_that_fell_asleep_in_doubt_takes_a_fetch_along_when_that_is_over(
    queue: Queue, bed: Bed, until: Any
) -> None:
    for name in QUEUES:
        # Nobody can compare leases while another's fetch is asleep, so the doubt stays.
        assert bed.heartbeat.leases.fall_asleep(name)
        bed.heartbeat.doubt(name)
    WorkerService.start_workers(1)
    until(lambda: b"cmd=blpop" in bed.client.read([(b"CLIENT", b"LIST")])[0])
    for name in QUEUES:
        bed.heartbeat.leases.wake_up(name)
    until(lambda: asleep(bed))


def test_a_worker_that_fell_asleep_with_no_hand_free_takes_a_fetch_along_when_it_has_one(
    queue: Queue, bed: Bed, until: Any
) -> None:
    long = Long()
    queue.register_handler("long", long)
    queue.register_handler("short", lambda payload: "done")
    WorkerService.start_workers(1)
    # From then on it expects short ones, and to have room for more than it runs.
    ids = queue.enqueue_many([TaskRequest("short") for _ in range(50)])
    assert queue.get_result(ids[-1], timeout=10) == "done"
    task_id = queue.enqueue_task("long")
    assert long.has_begun.wait(10)
    until(lambda: not asleep(bed) and b"cmd=blpop" in bed.client.read([(b"CLIENT", b"LIST")])[0])
    long.may_end.set()
    assert queue.get_result(task_id, timeout=10) == "done"
    until(lambda: asleep(bed))


def test_a_stop_while_tasks_come_leaves_none_behind(queue: Queue, bed: Bed, in_thread: Any, until: Any) -> None:
    queue.register_handler("x", lambda payload: "done")
    ids: list[str] = []
    for _ in range(20):
        until(lambda: not any(map(bed.heartbeat.doubts, QUEUES)))
        WorkerService.start_workers(1)
        until(lambda: asleep(bed))
        thread = in_thread(lambda: ids.extend(queue.enqueue_task("x") for _ in range(3)))
        WorkerService.stop_workers()
        thread.join()
        # Handed back at once: no lease has to end for it.
        until(lambda: not bed.owned(), 3)
    WorkerService.start_workers(1)
    assert [queue.get_result(task_id, timeout=10) for task_id in ids] == ["done"] * 60
    assert queue.get_queue_stats()["tasks_recovered"] == 0


def test_leases_that_got_lost_are_found_while_a_worker_sleeps(queue: Queue, bed: Bed, until: Any) -> None:
    queue.register_handler("x", lambda payload: "done")
    WorkerService.start_workers(1)
    queue.get_result(queue.enqueue_task("x"), timeout=10)
    until(lambda: asleep(bed))
    # As if the answer to a fetch of this process had got lost: there is nobody to wake, as for one that is paused.
    bed.client.read([bed.protocol.pause(paused=True)])
    task_id = queue.enqueue_task("x")
    bed.client.read([bed.protocol.pause(paused=False), bed.protocol.fetch(1, 1)])
    assert queue.get_result(task_id, timeout=15) == "done"
