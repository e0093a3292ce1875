"""TaskQueueService: its life. What it does is in producing.py, consuming.py, reading.py and managing.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from singleton_service import BaseService, requires
from singleton_service.background.config import ConfigService, settings_in_force

from .async_producing import AsyncProducing
from .availability import guarded
from .awaiting import Awaiting
from .client import connect
from .consuming import Consuming
from .errands import Errands
from .errors import QueueUnavailableError
from .heartbeat import Heartbeat
from .loop_lines import LoopLines
from .managing import Managing
from .progress import ProgressReports
from .reading import Reading
from .results import EndingWatch
from .scripts import MAX_BATCH

if TYPE_CHECKING:
    from collections.abc import Callable

    from singleton_service.background.config import PlainSettings

    from .client import QueueClient


@requires(ConfigService)
class TaskQueueService(AsyncProducing, Consuming, Reading, Managing, Awaiting, BaseService):
    """The queue. All methods are thread-safe; none needs anything set up first.

    A task runs at least once: once `enqueue_task` has returned, no death of a client or a worker loses it.
    """

    # Tests of applications put something else here, to have a server and a clock of their own.
    _connect: ClassVar[Callable[[PlainSettings], QueueClient]] = staticmethod(connect)

    @classmethod
    def initialize(cls) -> None:
        """Open the engine, the embedded server included if need be, and see that the server answers.

        Raises:
            QueueUnavailableError: it does not.
            EngineError: the embedded server can't be started.
        """
        settings = settings_in_force()
        client = cls._connect(settings)
        try:
            client.link.call(b"PING")
        except BaseException:
            client.close()
            raise
        cls._client = client
        cls._heartbeat = Heartbeat(client)
        cls._endings = EndingWatch(client)
        cls._reports = ProgressReports(client)
        cls._errands = Errands(client)
        cls._lines = LoopLines(client, cls._errands)

    @classmethod
    def ping(cls) -> bool:
        """Whether the server answers. One warning says when it does not; once started it never raises."""
        if cls._client is None:
            return False
        try:
            cls._client.link.call(b"PING")
        except QueueUnavailableError as error:
            if not cls._initialized:
                # A start fails by it: whoever asked for that is told why, and nothing stays open.
                cls.shutdown()
                raise
            cls._client.outage.noticed(error)
            return False
        cls._client.outage.over()
        return True

    @classmethod
    def shutdown(cls) -> None:
        """Give up leases and connections; the embedded server ends with its last user."""
        client, heartbeat, endings = cls._client, cls._heartbeat, cls._endings
        reports, errands, lines = cls._reports, cls._errands, cls._lines
        cls._client = cls._heartbeat = cls._endings = cls._reports = cls._errands = cls._lines = None
        if endings is not None:
            endings.stop()
        if lines is not None:
            lines.stop()
        if errands is not None:
            errands.stop()
        if reports is not None:
            reports.stop()
        if heartbeat is not None:
            heartbeat.stop()
        if client is not None:
            client.close()

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
