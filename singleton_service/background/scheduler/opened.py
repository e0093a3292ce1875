"""What a started SchedulerService holds, for the classes its methods are written in."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from singleton_service.background.task_queue import QueueUnavailableError

from .definition import check_schedule_id, decode

if TYPE_CHECKING:
    from .clock import ServerClock
    from .definition import Definition
    from .loop import Loop
    from .store import State, Store


class Opened:
    """The state of the service, on its class. Nothing here is a service by itself."""

    # Not `_loop`: that is the container's word for an event loop.
    _firing: ClassVar[Loop | None] = None
    _store: ClassVar[Store | None] = None
    _clock: ClassVar[ServerClock | None] = None
    _jobs_scheduled: ClassVar[int] = 0

    @classmethod
    def _open_store(cls) -> Store:
        if cls._store is None:
            raise QueueUnavailableError("of this process", "SchedulerService was stopped meanwhile")
        return cls._store

    @classmethod
    def _open_loop(cls) -> Loop:
        if cls._firing is None:
            raise QueueUnavailableError("of this process", "SchedulerService was stopped meanwhile")
        return cls._firing

    @classmethod
    def _server_now_ms(cls) -> int:
        """Ask the server what time it is."""
        store, clock = cls._open_store(), cls._clock
        store.beat()
        assert clock is not None
        return clock.now_ms()

    @classmethod
    def _find(cls, schedule_id: str) -> tuple[State, Definition] | None:
        """Read one schedule; None when nobody has it.

        Raises:
            ValueError, TypeError: no schedule can have this id, or a newer version of this package wrote it.
        """
        found = cls._open_store().find(check_schedule_id(schedule_id))
        if found is None or found.state is None or found.definition is None or found.state.is_retired:
            return None
        try:
            return found.state, decode(found.definition)
        except ValueError as error:
            raise ValueError(f"schedule {schedule_id!r} can't be read: {error}") from error
