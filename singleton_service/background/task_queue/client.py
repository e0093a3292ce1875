"""What one started TaskQueueService holds: the engine, a connection per thread, a protocol per queue."""

from __future__ import annotations

import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

from singleton_service.background.engine import open_engine

from .confirming import Confirmer
from .errors import ProtocolVersionError, QueueUnavailableError
from .joint import Joint
from .keys import queues_key
from .link import Link
from .outage import Outage, backoff_s
from .protocol import PROTOCOL_VERSION, Limits, Protocol
from .pulse import Pulse
from .scripts import load_scripts
from .worker_ids import new_worker_id

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from singleton_service.background.config import PlainSettings
    from singleton_service.background.engine import Engine

    from .link import Command
    from .protocol import Enqueued
    from .requests import PreparedTask
    from .scripts import Scripts

# A caller must have an answer within two seconds, good or bad: no attempt begins later than this, and none takes longer
# than a read may (connecting may take 1 s as well).
_LAST_ATTEMPT_S = 0.9
_CALLER_READ_TIMEOUT_S = 1.0
_LONGEST_BLOCK_S = 10.0
_OVERDUE_S = 1.0
_LOOK_EVERY_S = 0.5
_MOST_PROTOCOLS = 1000


class QueueClient:
    """The open resources of this process, closed as one.

    Attributes:
        worker_id: new with each start, so that no two processes ever share one.
    """

    def __init__(self, engine: Engine, settings: PlainSettings, scripts: Scripts | None = None) -> None:
        self.engine = engine
        self.settings = settings
        self.scripts = scripts or load_scripts()
        self.outage = Outage()
        self.worker_id = new_worker_id()
        self.limits = Limits(
            lease_ms=round(settings.lease_seconds * 1000),
            result_ttl_ms=round(settings.result_ttl_seconds * 1000),
            max_results=settings.max_results,
            failed_ttl_ms=round(settings.failed_ttl_seconds * 1000),
            max_failed=settings.max_failed,
            unknown_task_ms=round(settings.unknown_task_seconds * 1000),
            max_backlog=settings.max_backlog,
        )
        self._protocols: dict[str, Protocol] = {}
        self._joints: dict[str, Joint] = {}
        self._registered: set[str] = set()
        self._local = threading.local()
        self._links_lock = threading.Lock()
        self._links: weakref.WeakSet[Link] = weakref.WeakSet()
        self._pulse = Pulse(engine) if engine.may_fall_silent else None

    def protocol(self, queue: str) -> Protocol:
        """Return the protocol of a queue."""
        found = self._protocols.get(queue)
        if found is None:
            found = Protocol(self.scripts, self.settings.namespace, queue, self.worker_id, self.limits)
            if len(self._protocols) >= _MOST_PROTOCOLS:
                # Anybody's id may name a queue that never was; one is quickly made again.
                self._protocols.clear()
            self._protocols[queue] = found
        return found

    @property
    def link(self) -> Link:
        """The calling thread's own connection."""
        try:
            link: Link = self._local.link
        except AttributeError:
            link = self._local.link = self.new_link(_CALLER_READ_TIMEOUT_S)
        return link

    @property
    def _confirmer(self) -> Confirmer:
        """The calling thread's connection for writes that the server has to confirm."""
        try:
            confirmer: Confirmer = self._local.confirmer
        except AttributeError:
            settings = self.settings
            timeout_s = settings.durability_timeout_seconds
            link = self.new_link(timeout_s + _CALLER_READ_TIMEOUT_S)
            confirmer = Confirmer(link, self.engine, settings.durability_replicas, timeout_s)
            self._local.confirmer = confirmer
        return confirmer

    def wait_for_work(self, queues: Sequence[str], timeout_s: float) -> None:
        """Block until there may be work in one of the queues, at most *timeout_s*."""
        try:
            link: Link = self._local.blocking_link
        except AttributeError:
            link = self._local.blocking_link = self.new_link(_LONGEST_BLOCK_S + 5)
        block_s = max(0.001, min(timeout_s, _LONGEST_BLOCK_S))  # 0 would be for ever
        if link.is_outlived:
            link.close()
        is_over = False
        try:
            link.send(b"BLPOP", *(self.protocol(queue).keys.wake for queue in queues), f"{block_s:.3f}")
            if _is_answered(link, block_s):
                link.receive()
                is_over = True
        finally:
            if not is_over:
                # Its answer may still come; and a token may be lost with it, so there may be work.
                link.close()

    def new_link(self, read_timeout_s: float) -> Link:
        """Make a connection of one's own; closed with the client at the latest."""
        link = Link(self.engine, self.scripts, read_timeout_s, self._pulse)
        with self._links_lock:
            self._links.add(link)
        return link

    def persist(self, queue: str, command: Command, *, looks: bool = True) -> Any:
        """Send a command that may be repeated to a queue, which is made known first.

        Args:
            queue: where it writes.
            command: what is sent.
            looks: whether it looks by itself that the queue is not a newer version's, as an enqueue does.

        Raises:
            QueueUnavailableError: the server did not answer for up to two seconds.
            ProtocolVersionError: a newer version has made the queue its own.
        """

        def send(_again: bool) -> Any:  # noqa: FBT001 - handed on as it comes
            if not looks:
                self._registered.discard(queue)
            self.register_queue(queue)
            return self.link.run([command])[0]

        return self._patiently(send)

    def enqueue(self, tasks: Sequence[PreparedTask]) -> Enqueued:
        """Send tasks of one queue, which is made known first. A single one goes along with those of other threads.

        Raises:
            QueueUnavailableError: the server did not answer for up to two seconds.
            ProtocolVersionError: a newer version has made the queue its own.
        """
        queue = tasks[0].queue
        is_joint = len(tasks) == 1

        def send(again: bool) -> Enqueued:  # noqa: FBT001 - handed on as it comes
            self.register_queue(queue)
            if again or not is_joint:
                return self._enqueue(tasks)
            joint = self._joints.get(queue) or self._new_joint(queue)
            return joint.enqueue(tasks[0])

        enqueued: Enqueued = self._patiently(send)
        return enqueued

    def _enqueue(self, tasks: Sequence[PreparedTask]) -> Enqueued:
        protocol = self.protocol(tasks[0].queue)
        (reply,) = self.link.run([protocol.enqueue([task[1:4] for task in tasks])])
        return protocol.enqueued(reply, [task.uid for task in tasks])

    def _new_joint(self, queue: str) -> Joint:
        if len(self._joints) >= _MOST_PROTOCOLS:
            self._joints.clear()
        joint = self._joints[queue] = Joint(self._enqueue, lambda given_up: self._drop_joint(queue, given_up))
        return joint

    def _drop_joint(self, queue: str, joint: Joint) -> None:
        if self._joints.get(queue) is joint:
            del self._joints[queue]

    def finish(self, make: Callable[[bool], Command]) -> Any:
        """Send the end of something that this process has begun, which it may whoever's the queue is by now.

        Args:
            make: gives the command; called with True once an earlier answer may have been lost.

        Raises:
            QueueUnavailableError: the server did not answer for up to two seconds.
        """
        return self._patiently(lambda again: self.link.run([make(again)])[0])

    def check_durability(self, durabilities: Collection[str]) -> None:
        """See that the server can confirm what `persist_confirmed` will ask of it.

        Raises:
            DurabilityUnavailableError: it can't.
            QueueUnavailableError: the server did not answer for up to two seconds.
        """
        self._patiently(lambda _again: self._confirmer.check(durabilities))

    def persist_confirmed(
        self, queue: str, command: Command, durabilities: Collection[str]
    ) -> tuple[Any, dict[str, str]]:
        """Do as `persist`, and have the server confirm that it is safe; the answer begins with how much was written.

        Returns:
            the answer, and why which durability was not confirmed in time.

        Raises:
            DurabilityUnavailableError: it can't confirm that; nothing was written.
            QueueUnavailableError: the server did not answer for up to two seconds and the time for confirming.
            ProtocolVersionError: a newer version has made the queue its own.
        """
        # Any field of ours that no reader minds.
        mark: Command = (b"HSET", self.protocol(queue).keys.key("settings"), b"mark", b"1")

        def send(again: bool) -> Any:  # noqa: FBT001 - handed on as it comes
            self.register_queue(queue)
            return self._confirmer.write(command, mark, durabilities, again=again)

        reply, missing = self._patiently(send)
        return reply, missing

    def read(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands that change nothing and return their replies.

        Raises:
            QueueUnavailableError: the server did not answer for up to two seconds.
        """
        replies: list[Any] = self._patiently(lambda _again: self.link.run(commands))
        return replies

    def _patiently(self, send: Callable[[bool], Any]) -> Any:
        """Call *send* until it works, through a server's short absence."""
        give_up_at = time.monotonic() + _LAST_ATTEMPT_S
        failures = 0
        while True:
            try:
                answer = send(failures > 0)
            except QueueUnavailableError as error:
                # It may come back without its memory.
                self._registered.clear()
                wait_s = backoff_s(failures)
                failures += 1
                if time.monotonic() + wait_s > give_up_at:
                    self.outage.noticed(error)
                    raise
                time.sleep(wait_s)
            else:
                self.outage.over()
                return answer

    def is_registered(self, queue: str) -> bool:
        """Whether `register_queue` has nothing left to do for a queue."""
        return queue in self._registered

    def register_queue(self, queue: str, *, to_take: bool = False) -> None:
        """Make a queue known, once per process, and refuse one that a newer version has made its own.

        A queue of an older version becomes one of ours: older clients are refused from then on, those that run already
        by the scripts themselves.

        Args:
            queue: its name.
            to_take: whether the caller only takes from it. On a full server it may then stay unknown: whoever puts
                the first task there makes it known.
        """
        if queue in self._registered:
            return
        settings_key, queues = self.protocol(queue).keys.key("settings"), queues_key(self.settings.namespace)
        look: list[Command] = [(b"HGET", settings_key, b"protocol"), (b"SISMEMBER", queues, queue)]
        version, is_listed = self.link.run(look)
        if version is None or not is_listed:
            # Looked first: a full server refuses to write, and a worker that comes to drain it has nothing to write.
            try:
                version = self.link.run(
                    [
                        (b"HSETNX", settings_key, b"protocol", PROTOCOL_VERSION),
                        (b"SADD", queues, queue),
                        (b"HGET", settings_key, b"protocol"),
                    ]
                )[-1]
            except QueueUnavailableError:
                if not to_take:
                    raise
                if version is None:
                    return
        found = int(version)
        if found > PROTOCOL_VERSION:
            raise ProtocolVersionError(queue, found, PROTOCOL_VERSION)
        if found < PROTOCOL_VERSION:
            self.link.call(b"HSET", settings_key, b"protocol", PROTOCOL_VERSION)
        self._registered.add(queue)

    def queues(self) -> list[str]:
        """Return the names of all queues that were ever used, sorted."""
        (names,) = self.read([(b"SMEMBERS", queues_key(self.settings.namespace))])
        return sorted(name.decode() for name in names)

    def close(self) -> None:
        """Close every connection and let go of the engine."""
        with self._links_lock:
            links = list(self._links)
        for link in links:
            link.close()
        self.engine.close()


def connect(settings: PlainSettings) -> QueueClient:
    """Open the engine that the settings name, the embedded server included if need be.

    Raises:
        EngineError: the embedded server can't be started.
    """
    return QueueClient(open_engine(settings), settings)


def _is_answered(link: Link, block_s: float) -> bool:
    """Wait for the answer to what blocks so long on the server; False when it is overdue or the connection dead."""
    overdue_at = time.monotonic() + block_s + _OVERDUE_S
    while not link.has_reply(_LOOK_EVERY_S):
        if link.is_outlived or time.monotonic() > overdue_at:
            return False
    return True
