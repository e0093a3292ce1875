"""Where schedules live: what is sent for each verb, and what its answer means.

A store holds no schedule. It may be used by any thread; `asking` says through which connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from singleton_service.background.task_queue.protocol import PROTOCOL_VERSION

from .scripts import ScheduleKeys, load_schedule_scripts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from singleton_service.background.task_queue.client import QueueClient
    from singleton_service.background.task_queue.link import Command
    from singleton_service.background.task_queue.scripts import Script

    from .clock import ServerClock
    from .scripts import ScheduleScripts

LEASE_MS = 30_000
PAGE = 500
_PAUSE = "pause"


@dataclass(frozen=True, slots=True)
class State:
    """What a schedule stands at.

    Attributes:
        revision: of its latest change; a fire is none.
        next_ms: the instant that has not been seen to yet; None when there is none any more.
        runs: how many instants became tasks; `missed`: how many never did.
        declared_by: the process whose words are in force, "" when it is gone, or when it was made at run time.
    """

    revision: int
    next_ms: int | None
    runs: int
    missed: int
    is_declared: bool
    is_paused: bool
    is_retired: bool
    declared_by: str

    @property
    def is_active(self) -> bool:
        """Whether it fires, if it is not over."""
        return not self.is_paused and not self.is_retired


@dataclass(frozen=True, slots=True)
class Found:
    """A schedule as it was read; both None when it was removed."""

    id: str
    changed: int
    state: State | None
    definition: bytes | None


@dataclass(frozen=True, slots=True)
class Step:
    """From one instant of a schedule on to the next. Lines as advance.lua takes them."""

    id: str
    revision: int
    instant_ms: int
    next_ms: int | None
    runs: int
    missed: int
    lines: str


@dataclass(frozen=True, slots=True)
class Beat:
    """What a beat brought back. `is_known`: else this process has to declare again."""

    revision: int
    is_known: bool
    clock_moved_s: float


class Store:
    """The verbs, spoken by one process.

    Every answer about time moves the clock that it was given.
    """

    def __init__(
        self,
        client: QueueClient,
        clock: ServerClock,
        asking: Callable[[Sequence[Command]], list[Any]] | None = None,
    ) -> None:
        """Make one.

        Args:
            client: whose server, and whose name.
            clock: what is told the time.
            asking: sends commands that may be repeated, and returns their replies; the client's patient way unless
                given.
        """
        self.keys = ScheduleKeys(client.settings.namespace)
        self.process = client.worker_id
        self._client = client
        self._clock = clock
        self._ask = asking or client.read

    @property
    def _scripts(self) -> ScheduleScripts:
        return load_schedule_scripts(self._client.scripts.clock_offset_ms)

    def _call(self, command: Command) -> Any:
        return self._ask([command])[0]

    def _change(self, script: Script, items: Iterable[bytes | str | int] = (), /, **args: bytes | str | int) -> Any:
        """Run a script that may change schedules.

        Raises:
            ProtocolVersionError: a newer version of this package has made them its own; nothing was written.
        """
        channel = self.keys.changed_channel
        return self._call(script.command(self.keys, items, protocol=PROTOCOL_VERSION, changed_channel=channel, **args))

    # Changing

    def put(self, schedule_id: str, definition: bytes, next_ms: int | None) -> bool:
        """Make a schedule at run time; whether it is new or another than before."""
        return bool(self._change(self._scripts.put, (schedule_id, definition, _digits(next_ms)))[0])

    def remove(self, schedule_id: str) -> bool:
        """Forget a schedule; False when there is none of that id."""
        return bool(self._change(self._scripts.remove, [schedule_id])[0])

    def pause(self, schedule_id: str, revision: int) -> str:
        """Pause one that is as it was at that revision; see pause.lua for what is answered."""
        return self._pause(schedule_id, revision, _PAUSE)

    def resume(self, schedule_id: str, revision: int, next_ms: int | None) -> str:
        """Have one go on at an instant; see pause.lua for what is answered."""
        return self._pause(schedule_id, revision, _digits(next_ms))

    def _pause(self, schedule_id: str, revision: int, next_ms: str) -> str:
        verdict: bytes = self._change(self._scripts.pause, id=schedule_id, revision=revision, next_ms=next_ms)
        return verdict.decode()

    def advance(self, steps: Sequence[Step]) -> list[bool]:
        """Go on from instants that were seen to; False where somebody else has gone on, or it has changed."""
        items: list[bytes | str | int] = []
        for step in steps:
            items += (step.id, step.revision, step.instant_ms, _digits(step.next_ms), step.runs, step.missed)
            items.append(step.lines)
        return [bool(verdict) for verdict in self._change(self._scripts.advance, items)]

    def note(self, schedule_id: str, line: str) -> bool:
        """Note a fire by hand; False when there is no such schedule."""
        script = self._scripts.note
        return bool(self._call(script.command(self.keys, protocol=PROTOCOL_VERSION, id=schedule_id, line=line)))

    # Declaring

    def declare(self, items: Iterable[tuple[str, bytes, int | None]]) -> list[bool]:
        """Say all that this process declares, as (id, definition, first instant): which are new or changed."""
        flat = [part for one, definition, next_ms in items for part in (one, definition, _digits(next_ms))]
        verdicts = self._change(self._scripts.declare, flat, process=self.process, lease_ms=LEASE_MS)
        return [bool(verdict) for verdict in verdicts]

    def leave(self) -> None:
        """Declare nothing any more. What nobody else declares is retired by the next scheduler that runs."""
        self._call((b"ZADD", self.keys.key("declarers"), b"XX", 0, self.process))

    def beat(self) -> Beat:
        """Renew what this process declares, and hear the time."""
        sent_at_s = self._clock.steady_s()
        now_us, revision, is_known = self._change(self._scripts.beat, process=self.process, lease_ms=LEASE_MS)
        moved_s = self._clock.heard(int(now_us), sent_at_s, self._clock.steady_s())
        return Beat(revision, bool(is_known), moved_s)

    # Reading

    def read(self, since: int = 0, limit: int = PAGE) -> tuple[bool, list[Found]]:
        """Read what changed after a revision: a page, oldest change first.

        Returns:
            False when something may be missing: then read from 0. And the page, empty when there is no more.
        """
        is_whole, *flat = self._call(self._scripts.read.command(self.keys, since=since, limit=limit))
        found = [
            Found(flat[n].decode(), flat[n + 1], read_state(flat[n + 2]), flat[n + 3] or None)
            for n in range(0, len(flat), 4)
        ]
        return bool(is_whole), found

    def read_all(self) -> list[Found]:
        """Read every schedule that there is."""
        found: dict[str, Found] = {}
        since = 0
        while page := self.read(since)[1]:
            found.update((each.id, each) for each in page)
            since = page[-1].changed
        return [each for each in found.values() if each.state is not None]

    def find(self, schedule_id: str) -> Found | None:
        """Read one schedule; None when there is none of that id."""
        state, definition = self._ask(
            [
                (b"HGET", self.keys.key("states"), schedule_id),
                (b"HGET", self.keys.key("definitions"), schedule_id),
            ]
        )
        known = read_state(state)
        return None if known is None else Found(schedule_id, known.revision, known, definition)

    def look(self, schedule_ids: Sequence[str]) -> list[State | None]:
        """Read what schedules stand at; None where there is none."""
        return list(map(read_state, self._call((b"HMGET", self.keys.key("states"), *schedule_ids))))

    def histories(self, schedule_ids: Sequence[str]) -> list[list[list[str]]]:
        """Read the latest fires of schedules, oldest first: instant, when fired, how, task id."""
        if not schedule_ids:
            return []
        texts = self._call((b"HMGET", self.keys.key("histories"), *schedule_ids))
        return [[line.split("|", 3) for line in text.decode().splitlines()] if text else [] for text in texts]

    def count(self) -> tuple[int, int]:
        """Count the schedules that fire, and those of them whose instant has come."""
        key = self.keys.key("instants")
        total, due = self._ask([(b"ZCARD", key), (b"ZCOUNT", key, b"-inf", self._clock.now_ms())])
        return total, due


def read_state(line: bytes | None) -> State | None:
    """Read a state as the scripts write it; None for none."""
    if not line:
        return None
    revision, flags, next_ms, runs, missed, _, by = line.decode().split("|", 6)
    return State(
        int(revision),
        int(next_ms) if next_ms else None,
        int(runs),
        int(missed),
        is_declared="c" in flags,
        is_paused="p" in flags,
        is_retired="r" in flags,
        declared_by=by,
    )


def _digits(ms: int | None) -> str:
    return "" if ms is None else str(ms)
