"""What handlers report of their progress: the latest word of each task, sent at most ten times a second.

A report is sent before the call returns, unless the last one of this task was sent within a tenth of a second, or the
caller is a coroutine, whose loop must not wait for a server. Then a thread sends it, with those of all other tasks,
within a tenth of a second, and only the latest of each. What is left when the task ends is sent before its end.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from singleton_service._loops import running_loop

from .errors import QueueUnavailableError, TaskQueueError
from .outage import backoff_s
from .scripts import MAX_BATCH

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .client import QueueClient
    from .lease import Lease
    from .link import Link

    Note = tuple[bytes, bytes]

logger = logging.getLogger("singleton_service.task_queue")

_INTERVAL_S = 0.1
_READ_TIMEOUT_S = 2.0


class Account:
    """What was reported under one lease. Whoever sends holds `lock`, so that no note overtakes a later one.

    Attributes:
        note: the latest report, as long as nobody has sent it.
        sent_at: when the last one was sent, time.monotonic() seconds.
        is_refused: the server said that the task is not this lease's any more.
    """

    __slots__ = ("_reports", "is_refused", "lock", "note", "sent_at")

    def __init__(self, reports: ProgressReports) -> None:
        self._reports = reports
        self.lock = threading.Lock()
        self.note: Note | None = None
        self.sent_at = float("-inf")
        self.is_refused = False

    def settle(self, lease: Lease) -> None:
        """Send what has not been sent: the task is about to end. Never raises, and tries once."""
        with self.lock:
            self._reports.send_now(lease, self)


class ProgressReports:
    """The progress reports of this process. Thread-safe."""

    def __init__(self, client: QueueClient) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._late: set[Lease] = set()
        self._some_are_late = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def report(self, lease: Lease, note: Note) -> bool:
        """Send a report now or soon; whether the task is still the lease's, as far as is known."""
        account = lease.account
        if account is None:
            with self._lock:
                account = lease.account = lease.account or Account(self)
        if account.is_refused:
            return False
        account.note = note
        is_time = time.monotonic() - account.sent_at >= _INTERVAL_S
        if is_time and running_loop() is None and account.lock.acquire(blocking=False):
            try:
                self.send_now(lease, account)
            finally:
                account.lock.release()
        if account.note is not None:
            self._send_soon([lease])
        return not account.is_refused

    def send_now(self, lease: Lease, account: Account) -> None:
        """Send a note, if there is one; the caller holds its lock. Without a server it stays for later."""
        if account.note is None or self._client.outage.is_on:
            return
        try:
            self._send(self._client.link, [(lease, account)])
        except TaskQueueError as error:
            logger.debug("a progress report has to wait: %s", error)

    def stop(self) -> None:
        """Send no more."""
        with self._lock:
            self._stopping.set()
        self._some_are_late.set()
        if self._thread is not None:
            self._thread.join()

    def _send_soon(self, leases: Iterable[Lease]) -> None:
        with self._lock:
            if self._stopping.is_set():
                return
            self._late.update(leases)
            if self._thread is None:
                self._thread = threading.Thread(target=self._send_late_ones, name="task-queue-progress", daemon=True)
                self._thread.start()
        self._some_are_late.set()

    def _send_late_ones(self) -> None:
        link = self._client.new_link(_READ_TIMEOUT_S)
        failures = 0
        try:
            while self._some_are_late.wait() and not self._stopping.wait(_INTERVAL_S):
                self._some_are_late.clear()
                with self._lock:
                    late, self._late = self._late, set()
                try:
                    self._send_locked(link, late)
                    failures = 0
                except QueueUnavailableError as error:
                    self._client.outage.noticed(error)
                    self._send_soon(late)
                    self._stopping.wait(backoff_s(failures))
                    failures += 1
                except Exception:
                    logger.exception("progress reports were lost; later ones are sent")
        finally:
            link.close()

    def _send_locked(self, link: Link, late: set[Lease]) -> None:
        """Send the notes of those that nobody else is sending; whoever does comes back for the later note."""
        locked: list[tuple[Lease, Account]] = []
        try:
            for lease in late:
                account = lease.account
                if account is not None and account.lock.acquire(blocking=False):
                    locked.append((lease, account))
            for first in range(0, len(locked), MAX_BATCH):
                self._send(link, locked[first : first + MAX_BATCH])
        finally:
            for _, account in locked:
                account.lock.release()

    def _send(self, link: Link, accounts: Sequence[tuple[Lease, Account]]) -> None:
        by_queue: dict[str, list[tuple[Lease, Account, Note]]] = {}
        for lease, account in accounts:
            note, account.note = account.note, None
            if note is not None and not account.is_refused:
                by_queue.setdefault(lease.queue, []).append((lease, account, note))
        groups = list(by_queue.items())
        if not groups:
            return
        try:
            verdicts = link.run(
                [
                    self._client.protocol(queue).progress([(lease, *note) for lease, _, note in group])
                    for queue, group in groups
                ]
            )
        except TaskQueueError:
            for _, group in groups:
                for _, account, note in group:
                    account.note = account.note or note
            raise
        now = time.monotonic()
        for (_, group), verdict in zip(groups, verdicts, strict=True):
            for (_, account, _), was_ours in zip(group, verdict, strict=True):
                account.sent_at = now
                account.is_refused = was_ours == ord("0")
