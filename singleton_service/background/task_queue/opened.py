"""What a started TaskQueueService holds, for the classes its methods are written in."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from .errors import QueueUnavailableError
from .handlers import HandlerRegistry, registry

if TYPE_CHECKING:
    from .client import QueueClient
    from .leases import Leases
    from .results import EndingWatch


class Opened:
    """The state of the service, on its class. Nothing here is a service by itself."""

    DEFAULT_QUEUES: ClassVar[tuple[str, ...]] = ("critical", "default", "low")

    _task_handlers: ClassVar[HandlerRegistry] = registry
    _client: ClassVar[QueueClient | None] = None
    _leases: ClassVar[Leases | None] = None
    _endings: ClassVar[EndingWatch | None] = None

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
