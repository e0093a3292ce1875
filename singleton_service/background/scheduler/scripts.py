"""The scripts that change schedules, and the keys that they change: all in one slot, so a cluster serves them alike."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from singleton_service.background.task_queue.scripts import Script, read_script

_FOLDER = Path(__file__).with_name("lua")


@dataclass(frozen=True, slots=True)
class ScheduleKeys:
    """The keys of all schedules of a namespace, by the names that the scripts' headers use."""

    namespace: str

    def key(self, name: str) -> bytes:
        """Return one key by its name."""
        return f"{self.namespace}:{{schedules}}:{name}".encode()

    def named(self, names: tuple[str, ...], /) -> tuple[bytes, ...]:
        """Return the keys of these names, in their order."""
        return tuple(map(self.key, names))

    @property
    def changed_channel(self) -> bytes:
        """The channel on which the latest revision is published with each change."""
        return self.key("changed")


@dataclass(frozen=True, slots=True)
class ScheduleScripts:
    """All scripts that change or read schedules."""

    put: Script
    remove: Script
    pause: Script
    advance: Script
    note: Script
    declare: Script
    beat: Script
    read: Script


@cache
def load_schedule_scripts(clock_offset_ms: int | str = 0) -> ScheduleScripts:
    """Read the scripts from the package; *clock_offset_ms* as for the queue's."""
    return ScheduleScripts(**{name: read_script(_FOLDER, name, clock_offset_ms) for name in ScheduleScripts.__slots__})
