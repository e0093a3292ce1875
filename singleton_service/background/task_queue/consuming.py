"""Tasks out of the queue: for those who write their own loop, and who does them."""

from __future__ import annotations

import logging
import random
import time
from typing import TYPE_CHECKING, Any, Unpack

from . import checks, wall_clock
from .availability import guarded
from .codec import (
    NEWER_VERSION,
    decode_body,
    encode_error,
    encode_progress,
    is_readable,
    leased_task,
    to_json,
)
from .current import running_lease
from .errors import QueueUnavailableError
from .handlers import Handler
from .ids import split_id
from .opened import Opened
from .order import queue_order, turns_of
from .policy import Policy, PolicyOptions, make_policy
from .records import Task
from .retry import retry_delay_s

if TYPE_CHECKING:
    from collections.abc import Callable

    from .lease import Lease
    from .order import Queues

logger = logging.getLogger("singleton_service.task_queue")


class Consuming(Opened):
    """The half of TaskQueueService that those who do tasks use."""

    @classmethod
    @guarded
    def get_next_task(cls, timeout: float = 10, queues: Queues | None = None) -> Task | None:
        """Take the next task, waiting up to *timeout* seconds for one; None when there was none.

        The task is leased to this process, which renews the lease until it is finished. If the process dies, the
        task runs again elsewhere within seconds. One that has taken two processes down with it is handed out alone:
        until it is finished no thread of this process gets another.

        Args:
            timeout: seconds; 0 looks once.
            queues: "critical,default,low" (the default) or a list of names is taken strictly in this order; with
                weights, "critical:6,default:3,low:1", each that has tasks gets its share of this process's turns.

        Raises:
            QueueUnavailableError: the server is not there.
        """
        checks.check_delay("timeout", timeout)
        turns = turns_of(queue_order(queues))
        names = turns.order.names
        client, leases = cls._open_client(), cls._open_leases()
        for queue in names:
            client.register_queue(queue, to_take=True)
        cls._open_heartbeat().watch(names)
        ends_at = time.monotonic() + timeout
        while leases.wait_for_no_suspect(max(0.0, ends_at - time.monotonic())):
            wait_s: float = timeout
            for queue in turns.sorted():
                lease, next_s = cls._fetch_one(queue)
                if lease is not None:
                    turns.took(queue, 1)
                    leases.note_fetched_here(lease)
                    return leased_task(lease)
                wait_s = min(wait_s, next_s)
            left_s = ends_at - time.monotonic()
            if left_s <= 0:
                return None
            client.wait_for_work(names, min(wait_s, left_s))
        return None

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
        return cls._finish(lease, lambda again: protocol.complete([(lease, result_json)], again=again))

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
        error = encode_error(wall_clock.now(), "TaskError", str(error_message), None)
        body = decode_body(lease.body)
        if retry and lease.retry_count < body["m"]:
            delay_ms = cls._retry_delay_ms(body["n"], lease.retry_count + 1)
            return cls._finish(lease, lambda again: protocol.retry([(lease, delay_ms, error)], again=again), ends=False)
        return cls._finish(lease, lambda again: protocol.bury([(lease, error)], again=again))

    @classmethod
    @guarded
    def update_progress(cls, percent: float, message: str = "", task_id: Task | str | None = None) -> bool:
        """Say how far a task has come; `get_progress`, `Task.progress` and `TaskHandle.updates` show it.

        Cheap enough for every turn of a loop: at most ten reports a second are sent for a task, always the latest, and
        the last one before the task ends. A coroutine never waits for it. While the server is away it is kept for
        later, and no error.

        Args:
            percent: 0 to 100.
            message: what to show beside it; cut to 500 characters.
            task_id: the task that this handler runs unless given; in a loop of one's own what `get_next_task`
                returned, or its id as for `complete_task`.

        Returns:
            False once it is known that the task is not this worker's any more: then nothing is changed, and the work
            may as well be stopped.

        Raises:
            ValueError, TypeError: the percentage is none, the message no string, or no task runs here.
        """
        note = encode_progress(checks.check_percent(percent), checks.check_message(message))
        lease = running_lease.get()
        if task_id is None:
            if lease is None:
                raise ValueError(
                    "task_id is missing, and no task runs here: call update_progress() in a handler (a thread that it "
                    "starts must run in a copy of its context, as asyncio.to_thread has it), or pass the Task that "
                    "get_next_task() returned"
                )
        elif lease is None or lease.id != task_id:
            lease = cls._lease_of(task_id)
        return lease is not None and cls._open_reports().report(lease, note)

    @classmethod
    def _fetch_one(cls, queue: str) -> tuple[Lease | None, float]:
        client, leases = cls._open_client(), cls._open_leases()
        protocol = client.protocol(queue)
        with leases.fetching(queue):
            if leases.has_suspect:
                return None, 0.0
            try:
                reply = client.link.run([protocol.fetch(1, 1)])[0]
            except QueueUnavailableError:
                cls._open_heartbeat().doubt(queue)
                raise
            fetched = protocol.fetched(reply)
            leases.add(fetched.leases)
        for lease in fetched.leases:
            if not is_readable(lease.body):
                client.link.run([protocol.hold([(lease, NEWER_VERSION, b"")])])
                leases.drop([lease])
                return None, 0.0
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
        if lease.account is not None:
            lease.account.settle(lease)
        answer = client.finish(make)
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
            handler.policy if handler else Policy(),
            retry,
            base_s=settings.retry_base_seconds,
            cap_s=settings.retry_cap_seconds,
            chance=random.random(),  # noqa: S311 - spreading load, not keeping secrets
        )
        return round(delay_s * 1000)

    @classmethod
    def register_handler(
        cls,
        name: str,
        handler: Callable[[dict[str, Any]], Any] | Callable[[list[Any]], Any],
        **policy: Unpack[PolicyOptions],
    ) -> None:
        """Say which function does the tasks of a name: `handler(payload) -> result`, plain or `async def`.

        The last registration wins, with a warning if it is another function. Starts nothing. The options are those of
        `@task`, see `PolicyOptions`; with `batch` it is `handler(payloads) -> results`.

        Raises:
            ValueError, TypeError: the name, the handler or an option can't be used.
        """
        earlier = cls._task_handlers.get(name)
        cls._task_handlers.register(Handler(name, handler, make_policy(policy)))
        if earlier and earlier.origin == "application" and earlier.function is not handler:
            logger.warning("task %r has a new handler, %r; before it was %r", name, handler, earlier.function)
