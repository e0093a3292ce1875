"""What the checks look at: records of what a server, its queues and a directory say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from singleton_service.background.config import PlainSettings
    from singleton_service.background.task_queue import Task


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a server says of itself.

    Attributes:
        url: its address, without secrets.
        is_embedded: whether it is ours.
        info: the answer to INFO.
        config: the answer to CONFIG GET, empty where the server doesn't tell.
        ahead_s: how far its clock is ahead of this machine's; behind, if negative.
        ahead_within_s: how far that may be off: half of the time that the answer took.
        undurable: why it can't give the durability that the settings ask for; "" when it can.
    """

    url: str
    is_embedded: bool
    info: Mapping[str, str]
    config: Mapping[str, str]
    ahead_s: float = 0.0
    ahead_within_s: float = 0.0
    undurable: str = ""

    def number(self, name: str) -> int:
        """Return a number of INFO; 0 when it isn't there."""
        text = self.info.get(name, "")
        return int(text) if text.lstrip("-").isdigit() else 0


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """What lies in a queue.

    Attributes:
        protocol: the number of the protocol that its clients speak.
        counts: as `Protocol.counted` returns them.
        left_s: who takes from it -> how long its lease lasts; how long ago it ended, if negative.
        held_by_dead: those whose lease has ended -> how many tasks they held.
        reasons: why tasks are set aside -> how many, of those looked at.
    """

    name: str
    protocol: int
    counts: Mapping[str, int]
    left_s: Mapping[str, float]
    held_by_dead: Mapping[str, int]
    reasons: Mapping[str, int]

    @property
    def workers(self) -> list[str]:
        """Who lives."""
        return [worker for worker, left_s in self.left_s.items() if left_s >= 0]

    @property
    def waiting(self) -> int:
        """How many tasks could begin now."""
        return sum(self.counts[name] for name in ("ready", "suspects", "waiting"))

    @property
    def unfinished(self) -> int:
        """How many tasks there are that have not ended."""
        return self.waiting + sum(self.counts[name] for name in ("due", "held", "running"))


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """Some of the tasks.

    Attributes:
        failed: up to a few hundred of those that failed for good and are kept.
        running: up to a few hundred of those that run.
        now_s: when they were read, by the server's clock: seconds since 1970.
    """

    failed: list[Task]
    running: list[Task]
    now_s: float


@dataclass(frozen=True, slots=True)
class ScheduleFacts:
    """The schedules that fire, paused ones left out.

    Attributes:
        number: how many there are.
        late_s: id -> how long ago an instant came that nobody has seen to; a few of them.
    """

    number: int
    late_s: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class DirectoryFacts:
    """What the data directory of an embedded server is like.

    Attributes:
        exists: whether it is there; the rest is of the nearest directory above it if not.
        owner: the user that it belongs to, by number.
        user: the user that this program runs as.
        mode: who may do what, as chmod has it.
        is_writable: whether this user may make files there.
        free_bytes: how much room its disk has.
        neighbours: data directories of other projects of this user, whose servers run.
    """

    path: Path
    exists: bool
    owner: int
    user: int
    mode: int
    is_writable: bool
    free_bytes: int
    neighbours: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """All there is to look at; what could not be asked is None.

    Attributes:
        troubles: worker that lives -> kind -> what it wrote down of its own troubles in the last hour.
        refused: why the server does not tell what lies in the queues; "" when it does.
        unreachable: why there is no server, and what to do about it.
    """

    settings: PlainSettings
    directory: DirectoryFacts | None = None
    server: ServerFacts | None = None
    queues: tuple[QueueFacts, ...] = ()
    tasks: TaskFacts | None = None
    schedules: ScheduleFacts | None = None
    troubles: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    refused: str = ""
    unreachable: tuple[str, str] | None = None
