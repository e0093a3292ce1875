"""What a started TaskQueueService holds, for the classes its methods are written in."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeVar

from .errors import stopped_meanwhile
from .handlers import HandlerRegistry, registry
from .order import DEFAULT_ORDER

if TYPE_CHECKING:
    from .client import QueueClient
    from .errands import Errands
    from .heartbeat import Heartbeat
    from .leases import Leases
    from .loop_lines import LoopLines
    from .progress import ProgressReports
    from .results import EndingWatch

T = TypeVar("T")


class Opened:
    """The state of the service, on its class. Nothing here is a service by itself."""

    DEFAULT_QUEUES: ClassVar[tuple[str, ...]] = DEFAULT_ORDER.names

    _task_handlers: ClassVar[HandlerRegistry] = registry
    _client: ClassVar[QueueClient | None] = None
    _heartbeat: ClassVar[Heartbeat | None] = None
    _endings: ClassVar[EndingWatch | None] = None
    _reports: ClassVar[ProgressReports | None] = None
    _errands: ClassVar[Errands | None] = None
    _lines: ClassVar[LoopLines | None] = None

    @classmethod
    def _open_client(cls) -> QueueClient:
        return _or_stopped(cls._client)

    @classmethod
    def _open_heartbeat(cls) -> Heartbeat:
        return _or_stopped(cls._heartbeat)

    @classmethod
    def _open_leases(cls) -> Leases:
        return cls._open_heartbeat().leases

    @classmethod
    def _open_endings(cls) -> EndingWatch:
        return _or_stopped(cls._endings)

    @classmethod
    def _open_errands(cls) -> Errands:
        return _or_stopped(cls._errands)

    @classmethod
    def _open_lines(cls) -> LoopLines:
        return _or_stopped(cls._lines)

    @classmethod
    def _open_reports(cls) -> ProgressReports:
        return _or_stopped(cls._reports)


def _or_stopped(part: T | None) -> T:
    if part is None:
        raise stopped_meanwhile()
    return part
