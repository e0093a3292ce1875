"""TaskQueueService: tasks into the queue, out of it, and what became of them."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from singleton_service import BaseService, requires
from singleton_service.background.config import ConfigService
from singleton_service.background.engine import open_engine

from . import checks, listing
from .availability import guarded
from .client import QueueClient
from .codec import decode_body, decode_task, encode_error, encode_record, leased_task, to_json
from .errors import EnqueueError, QueueUnavailableError, TaskFailedError, TaskNotFoundError, TaskQueueError
from .handlers import Handler, HandlerRegistry, Policy, registry
from .ids import check_queue, split_id
from .leases import Leases
from .records import Task, TaskPage, TaskPriority, TaskRequest, TaskStatus
from .requests import Fire, PreparedTask, prepare
from .results import EndingWatch
from .retry import retry_delay_s
from .scripts import MAX_BATCH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from .lease import Lease

logger = logging.getLogger("singleton_service.task_queue")

# A batch larger than this would hold the server up and outlast a caller's patience.
MAX_BATCH_BYTES = 4 * 1024 * 1024


@requires(ConfigService)
class TaskQueueService(BaseService):
    """The queue. All methods are thread-safe; none needs anything set up first.

    A task runs at least once: once `enqueue_task` has returned, no death of a client or a worker loses it.
    """

    DEFAULT_QUEUES: ClassVar[tuple[str, ...]] = ("critical", "default", "low")

    _task_handlers: ClassVar[HandlerRegistry] = registry
    _client: ClassVar[QueueClient | None] = None
    _leases: ClassVar[Leases | None] = None
    _endings: ClassVar[EndingWatch | None] = None

    # Life

    @classmethod
    def initialize(cls) -> None:
        """Open the engine, the embedded server included if need be, and see that the server answers.

        Raises:
            QueueUnavailableError: it does not.
            EngineError: the embedded server can't be started.
        """
        settings = ConfigService.get_config()
        client = QueueClient(open_engine(settings), settings)
        try:
            client.link.call(b"PING")
        except BaseException:
            client.close()
            raise
        cls._client = client
        cls._leases = Leases(client)
        cls._endings = EndingWatch(client)

    @classmethod
    def ping(cls) -> bool:
        """Whether the server answers. Never raises; one warning says when it does not."""
        if cls._client is None:
            return False
        try:
            cls._client.link.call(b"PING")
        except QueueUnavailableError as error:
            cls._client.outage.noticed(error)
            return False
        cls._client.outage.over()
        return True

    @classmethod
    def shutdown(cls) -> None:
        """Give up leases and connections; the embedded server ends with its last user."""
        client, leases, endings = cls._client, cls._leases, cls._endings
        cls._client = cls._leases = cls._endings = None
        if endings is not None:
            endings.stop()
        if leases is not None:
            leases.stop()
        if client is not None:
            client.close()

    # Enqueue

    @classmethod
    @guarded
    def enqueue_task(  # noqa: PLR0913 - the one call users make; each argument is theirs
        cls,
        name: str,
        payload: Mapping[str, Any] | None = None,
        delay_seconds: float = 0,
        max_retries: int | None = None,
        *,
        queue: str | None = None,
        priority: TaskPriority | None = None,
        eta: datetime | None = None,
        task_id: str | None = None,
    ) -> str:
        """Put a task into the queue and return its id.

        What is not given, the task's own definition says where this process knows it, else: 3 retries, queue
        "default", `TaskPriority.NORMAL`.

        Args:
            name: of the handler that shall do it, at most 200 characters.
            payload: a dict of JSON values, at most 1 MiB as JSON (TASKS_MAX_PAYLOAD_BYTES).
            delay_seconds: earliest start, in seconds from now by the server's clock.
            max_retries: how often a failed attempt is tried again; 3 means 4 attempts.
            queue: letters, digits, `_.-`, at most 64. Workers take "critical", "default" and "low" unless told
                otherwise.
            priority: order within the queue.
            eta: earliest start as a point in time; a naive datetime is local time.
            task_id: the caller's own id, letters, digits, `_-`, at most 128. The same `task_id` in the same queue is
                the same task: enqueued again within 24 hours, or while it lives, it adds nothing.

        Raises:
            ValueError, TypeError: an argument can't be used; nothing was written.
            QueueUnavailableError: no answer from the server within two seconds.
        """
        request = TaskRequest(name, payload, delay_seconds, max_retries, queue, priority, eta, task_id)
        return cls._enqueue(request)

    @classmethod
    @guarded
    def enqueue_many(cls, requests: Iterable[TaskRequest]) -> list[str]:
        """Put many tasks into the queue, a thousand a round trip, and return their ids in order.

        Raises:
            ValueError, TypeError: one of them can't be used; nothing was written.
            QueueUnavailableError: the server is not there; nothing was acknowledged.
            EnqueueError: the server went away in between; `accepted` lists what went in.
        """
        client = cls._open_client()
        limit = client.settings.max_payload_bytes
        prepared = []
        for n, request in enumerate(requests):
            try:
                prepared.append(prepare(request, cls._task_handlers, limit))
            except (ValueError, TypeError) as error:
                error.add_note(f"in request number {n} of enqueue_many; nothing was enqueued")
                raise
        accepted: list[str] = []
        try:
            for batch in _batches(prepared):
                cls._send(batch)
                accepted += [task.id for task in batch]
        except TaskQueueError as error:
            if accepted:
                raise EnqueueError(accepted, str(error)) from error
            raise
        return [task.id for task in prepared]

    @classmethod
    def _enqueue(cls, request: TaskRequest, fire: Fire | None = None) -> str:
        client = cls._open_client()
        prepared = prepare(request, cls._task_handlers, client.settings.max_payload_bytes, fire)
        cls._send([prepared])
        return prepared.id

    @classmethod
    @guarded
    def _enqueue_fire(cls, request: TaskRequest, fire: Fire) -> str:
        """Enqueue for the scheduler: the task carries which fire of which schedule it is."""
        return cls._enqueue(request, fire)

    @classmethod
    def _send(cls, batch: Sequence[PreparedTask]) -> None:
        client = cls._open_client()
        protocol = client.protocol(batch[0].queue)
        items = [(task.uid, task.when, task.body) for task in batch]
        client.persist(batch[0].queue, lambda again: protocol.enqueue(items, again=again))

    # Take and finish, for people who write their own loop

    @classmethod
    @guarded
    def get_next_task(cls, timeout: float = 10, queues: Sequence[str] | None = None) -> Task | None:
        """Take the next task, waiting up to *timeout* seconds for one; None when there was none.

        The task is leased to this process, which renews the lease until it is finished. If the process dies, the
        task runs again elsewhere within seconds.

        Args:
            timeout: seconds; 0 looks once.
            queues: taken strictly in this order; "critical", "default", "low" unless given.

        Raises:
            QueueUnavailableError: the server is not there.
        """
        checks.check_delay("timeout", timeout)
        names = cls.DEFAULT_QUEUES if queues is None else [check_queue(queue) for queue in queues]
        if not names:
            raise ValueError("queues is empty: name at least one, or leave it out")
        client, leases = cls._open_client(), cls._open_leases()
        for queue in names:
            client.register_queue(queue)
        leases.watch(names)
        ends_at = time.monotonic() + timeout
        while True:
            wait_s: float = timeout
            for queue in names:
                lease, next_s = cls._fetch_one(queue)
                if lease is not None:
                    leases.note_fetched_here(lease)
                    return leased_task(lease)
                wait_s = min(wait_s, next_s)
            left_s = ends_at - time.monotonic()
            if left_s <= 0:
                return None
            client.wait_for_work(names, min(wait_s, left_s))

    @classmethod
    @guarded
    def complete_task(cls, task: Task | str, result: Any = None) -> bool:
        """Finish a task with its result. True only for the one who holds it.

        Args:
            task: what `get_next_task` returned; its id alone counts only where it was fetched, or while this
                process has only ever held one lease for it.
            result: JSON values.

        Raises:
            TypeError, ValueError: the result is not JSON; nothing was changed.
            QueueUnavailableError: the server is not there; the task is still held.
        """
        result_json = to_json(result)
        lease = cls._lease_of(task)
        if lease is None:
            return False
        protocol = cls._open_client().protocol(lease.queue)
        record = encode_record(lease, result_json)
        return cls._finish(lease, lambda again: protocol.complete([(lease, record)], again=again))

    @classmethod
    @guarded
    def fail_task(cls, task: Task | str, error_message: str, retry: bool = True) -> bool:  # noqa: FBT001, FBT002 - S0's
        """Report a failed attempt: tried again later, or failed for good. True only for the one who holds it.

        Args:
            task: as for `complete_task`.
            error_message: kept with the task.
            retry: whether it may be tried again, if it has retries left; after min(60 * 2**n, 3600) seconds for the
                n-th retry unless its handler's policy says otherwise.

        Raises:
            QueueUnavailableError: the server is not there; the task is still held.
        """
        lease = cls._lease_of(task)
        if lease is None:
            return False
        protocol = cls._open_client().protocol(lease.queue)
        error = encode_error(datetime.now(UTC), "TaskError", str(error_message), None)
        body = decode_body(lease.body)
        if retry and lease.retry_count < body["m"]:
            delay_ms = cls._retry_delay_ms(body["n"], lease.retry_count + 1)
            return cls._finish(lease, lambda again: protocol.retry([(lease, delay_ms, error)], again=again), ends=False)
        return cls._finish(lease, lambda again: protocol.bury([(lease, error)], again=again))

    @classmethod
    def _fetch_one(cls, queue: str) -> tuple[Lease | None, float]:
        client, leases = cls._open_client(), cls._open_leases()
        protocol = client.protocol(queue)
        with leases.fetching(queue):
            try:
                reply = client.link.run([protocol.fetch(1, 1)])[0]
            except QueueUnavailableError:
                leases.doubt(queue)
                raise
            fetched = protocol.fetched(reply)
            leases.add(fetched.leases)
        next_s = float("inf") if fetched.next_ms is None else fetched.next_ms / 1000
        return (fetched.leases[0] if fetched.leases else None), next_s

    @classmethod
    def _lease_of(cls, task: Task | str) -> Lease | None:
        if isinstance(task, Task):
            if task._lease is not None:
                return task._lease
            task = task.id
        parts = split_id(task)
        return cls._open_leases().find(*parts, task) if parts else None

    @classmethod
    def _finish(cls, lease: Lease, make: Callable[[bool], Any], *, ends: bool = True) -> bool:
        client, leases = cls._open_client(), cls._open_leases()
        answer = client.persist(lease.queue, make)
        if ends:
            leases.forget(lease)
        else:
            leases.drop([lease])
        return bool(answer == b"1")

    @classmethod
    def _retry_delay_ms(cls, name: str, retry: int) -> int:
        settings = cls._open_client().settings
        handler = cls._task_handlers.get(name)
        delay_s = retry_delay_s(
            retry,
            base_s=settings.retry_base_seconds,
            cap_s=settings.retry_cap_seconds,
            fixed_s=handler.policy.retry_delay_seconds if handler else None,
        )
        return round(delay_s * 1000)

    # Handlers

    @classmethod
    def register_handler(  # noqa: PLR0913 - the policy, keyword by keyword
        cls,
        name: str,
        handler: Callable[[dict[str, Any]], Any],
        *,
        max_retries: int | None = None,
        retry_delay_seconds: float | None = None,
        queue: str | None = None,
        priority: TaskPriority | None = None,
    ) -> None:
        """Say which function does the tasks of a name: `handler(payload) -> result`, plain or `async def`.

        The last registration wins, with a warning if it is another function. Starts nothing.

        Raises:
            ValueError, TypeError: the name, the handler or an option can't be used.
        """
        earlier = cls._task_handlers.get(name)
        cls._task_handlers.register(Handler(name, handler, Policy(max_retries, retry_delay_seconds, queue, priority)))
        if earlier and earlier.origin == "application" and earlier.function is not handler:
            logger.warning("task %r has a new handler, %r; before it was %r", name, handler, earlier.function)

    # Look

    @classmethod
    @guarded
    def get_task_status(cls, task_id: str) -> Task | None:
        """Return the whole task as it stands now; None when nobody knows the id (any more).

        Raises:
            QueueUnavailableError: the server is not there.
        """
        parts = split_id(task_id)
        if parts is None:
            return None
        queue, uid = parts
        client = cls._open_client()
        (reply,) = client.read([client.protocol(queue).status([uid])])
        return decode_task(queue, uid, reply)

    @classmethod
    @guarded
    def get_result(cls, task_id: str, timeout: float | None = 0) -> Any:
        """Return what a task returned, waiting up to *timeout* seconds for it (None: as long as it takes).

        Raises:
            TimeoutError: it has not finished in that time.
            TaskFailedError: it failed for good.
            TaskNotFoundError: nobody knows it, or its result has passed its time.
            QueueUnavailableError: the server is not there.
        """
        parts = split_id(task_id)
        if parts is None:
            raise TaskNotFoundError(str(task_id))
        ends_at = None if timeout is None else time.monotonic() + checks.check_delay("timeout", timeout)
        while True:
            task = cls.get_task_status(task_id)
            if task is None:
                raise TaskNotFoundError(task_id)
            if task.status is TaskStatus.COMPLETED:
                return task.result
            if task.status is TaskStatus.FAILED:
                raise TaskFailedError(task_id, task.error_message or "no message")
            left_s = float("inf") if ends_at is None else ends_at - time.monotonic()
            if left_s <= 0 or cls._endings is None:
                why = f" ({task.held_reason})" if task.held_reason else ""
                raise TimeoutError(
                    f"task {task_id!r} is {task.status.value}, not finished after {timeout} seconds{why}"
                )
            cls._endings.wait(*parts, left_s)

    @classmethod
    @guarded
    def list_tasks(
        cls,
        *,
        status: TaskStatus | str | None = None,
        queue: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> TaskPage:
        """Return tasks a page at a time, in no particular order.

        A page may be short, even empty, and still have a cursor: go on until it is None. A task that is there
        throughout is returned at least once.

        Args:
            status: only these.
            queue: only this one; all unless given.
            limit: tasks a page, 1 to 1,000.
            cursor: of the page before.

        Raises:
            ValueError: an argument can't be used.
            QueueUnavailableError: the server is not there.
        """
        client = cls._open_client()
        queues = client.queues() if queue is None else [check_queue(queue)]
        wanted = None if status is None else TaskStatus(status)
        return listing.list_tasks(client, queues, wanted, limit, cursor)

    @classmethod
    @guarded
    def get_queue_stats(cls, queue: str | None = None) -> dict[str, int]:
        """Count tasks, over all queues or one, in constant time.

        `tasks_queued`, `tasks_processed`, `tasks_failed` (for good), `tasks_retried` and `tasks_recovered` (from
        dead workers) count since the queue began, in the server, so that they outlive every process;
        `pending_tasks`, `delayed_tasks` (retrying ones included), `running_tasks`, `held_tasks`, `failed_tasks`
        (kept now), `results_kept` and `workers` are as of now.

        Raises:
            QueueUnavailableError: the server is not there.
        """
        client = cls._open_client()
        queues = client.queues() if queue is None else [check_queue(queue)]
        replies = client.read([client.protocol(name).stats() for name in queues])
        counted = [client.protocol(name).counted(reply) for name, reply in zip(queues, replies, strict=True)]

        def total(*names: str) -> int:
            return sum(counts.get(name, 0) for counts in counted for name in names)

        return {
            "tasks_queued": total("total_enqueued"),
            "tasks_processed": total("total_completed"),
            "tasks_failed": total("total_failed"),
            "tasks_retried": total("total_retried"),
            "tasks_recovered": total("total_recovered"),
            "pending_tasks": total("ready", "suspects"),
            "delayed_tasks": total("due"),
            "running_tasks": total("running"),
            "held_tasks": total("held"),
            "failed_tasks": total("dead"),
            "results_kept": total("finished"),
            "workers": max((counts["workers"] for counts in counted), default=0),
        }

    @classmethod
    @guarded
    def server_url(cls) -> str:
        """Return the URL of the server in use, the embedded one's too. It may hold a password: don't show it."""
        return cls._open_client().engine.url

    @classmethod
    @guarded
    def clean_up(cls) -> int:
        """Forget finished and failed tasks past their age or number, and return how many.

        Finishing tasks pays for this as it goes; this is for queues where nothing finishes any more.

        Raises:
            QueueUnavailableError: the server is not there.
        """
        client = cls._open_client()
        forgotten = 0
        for queue in client.queues():
            while True:
                gone = sum(client.link.run([client.protocol(queue).sweep(MAX_BATCH)])[0])
                forgotten += gone
                if gone == 0:
                    break
        return forgotten

    # What the class holds

    @classmethod
    def _open_client(cls) -> QueueClient:
        if cls._client is None:
            raise QueueUnavailableError("of this process", "TaskQueueService was stopped meanwhile")
        return cls._client

    @classmethod
    def _open_leases(cls) -> Leases:
        cls._open_client()
        assert cls._leases is not None
        return cls._leases


def _batches(prepared: Sequence[PreparedTask]) -> Iterable[list[PreparedTask]]:
    """Split into runs of one queue each, bounded in number and bytes."""
    by_queue: dict[str, list[PreparedTask]] = {}
    for task in prepared:
        by_queue.setdefault(task.queue, []).append(task)
    for tasks in by_queue.values():
        batch: list[PreparedTask] = []
        size = 0
        for task in tasks:
            if batch and (len(batch) == MAX_BATCH or size + len(task.body) > MAX_BATCH_BYTES):
                yield batch
                batch, size = [], 0
            batch.append(task)
            size += len(task.body)
        yield batch
