"""Move tasks from the hand-made layout, each in three steps, so that a death between any two loses and doubles none.

1. Claim: from its list to a list of ours, in one step; no old worker can take it any more.
2. Enqueue, with the old id as `task_id`: a repeat adds nothing.
3. Forget: its hash and the claim, in one step.

What an interrupted run had claimed comes first in the next.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from singleton_service.background.task_queue import TaskQueueService
from singleton_service.background.task_queue.ids import given_uid, join_id
from singleton_service.background.task_queue.mould import DEFAULT_QUEUE
from singleton_service.background.task_queue.requests import prepare

from .layout import DELAYED, NEEDED, READY, TASK_PREFIX, Entry, Kind, Reading, read_entry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from singleton_service.background.task_queue.link import Command, Link

PAGE = 100
_TYPES = {READY: b"list", DELAYED: b"zset"}

# They run once in the life of a queue: their text goes along each time.
# KEYS: where they are, claimed. ARGV: id and claim of each.
_CLAIM = b"""
local is_list = redis.call("TYPE", KEYS[1]).ok == "list"
for i = 1, #ARGV, 2 do
    local removed = is_list and redis.call("LREM", KEYS[1], -1, ARGV[i]) or redis.call("ZREM", KEYS[1], ARGV[i])
    if removed == 1 then
        redis.call("RPUSH", KEYS[2], ARGV[i + 1])
    end
end
"""
# KEYS: claimed, and the hash of each. ARGV: the claims.
_FORGET = b"""
for i, claim in ipairs(ARGV) do
    redis.call("DEL", KEYS[i + 1])
    redis.call("LREM", KEYS[1], 1, claim)
end
"""
# KEYS: claimed, the list, the sorted set. ARGV: claim, id, due.
_GIVE_BACK = b"""
if redis.call("LREM", KEYS[1], 1, ARGV[1]) == 1 then
    if ARGV[3] == "" then
        redis.call("RPUSH", KEYS[2], ARGV[2])
    else
        redis.call("ZADD", KEYS[3], ARGV[3], ARGV[2])
    end
end
"""


@dataclass(slots=True)
class Found:
    """What lies in an old queue, or what became of it.

    Attributes:
        ready: tasks that can run now; after a move: that were moved.
        delayed: tasks that are due later; after a move: that were moved.
        taken: those that an old worker took and has not finished, by the keys of their hashes.
        finished: how many completed or failed tasks stand in a list all the same.
        twice: how many places in the lists name a task once more.
        unreadable: what can't be moved, by the keys of their hashes, and why.
    """

    ready: int = 0
    delayed: int = 0
    taken: list[str] = field(default_factory=list)
    finished: int = 0
    twice: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)
    _ids: set[bytes] = field(default_factory=set, repr=False)

    def note(self, reading: Reading) -> None:
        """Count one; a second place of the same task is only that."""
        entry = reading.entry
        if entry.id in self._ids:
            self.twice += 1
            return
        self._ids.add(entry.id)
        if reading.problem:
            self.unreadable[entry.shown] = reading.problem
        elif reading.kind is Kind.FINISHED:
            self.finished += 1
        elif reading.kind is Kind.RUNNING and not entry.was_taken:
            self.taken.append(entry.shown)
        elif entry.due:
            self.delayed += 1
        else:
            self.ready += 1

    def has(self, entry: Entry) -> bool:
        """Whether it was counted."""
        return entry.id in self._ids


class Mover:
    """Looks through an old queue, and moves it. Not thread-safe; two processes at once do no harm.

    Args:
        link: to the server of the old queue.
        namespace: that of the new one; on the old server, what was claimed lies in `<namespace>:moving`.
        max_payload_bytes: the largest payload that can be enqueued.
    """

    def __init__(self, link: Link, namespace: str, max_payload_bytes: int) -> None:
        self._link = link
        self._claimed = f"{namespace}:moving".encode()
        self._max_payload_bytes = max_payload_bytes

    def look(self) -> Found:
        """Count what there is. Changes nothing.

        Raises:
            QueueUnavailableError: the server is not there.
        """
        found = Found()
        places = [self._claimed, *self._places(found)]
        for entries in chain.from_iterable(map(self._pages, places)):
            for reading in self._read(entries):
                found.note(reading)
        for reading in self._read(self._lost(found)):
            found.note(replace(reading, kind=Kind.RUNNING))
        return found

    def move(self, *, with_taken: bool = False) -> Found:
        """Move all that can be moved, and tell what became of everything.

        Args:
            with_taken: also what old workers took and have not finished. Only when none of them runs any more.

        Raises:
            TaskQueueError: a server went away or refused. Call it again: what was moved stays moved.
        """
        found = Found()
        while entries := self._page(self._claimed, 0):
            self._carry(entries, found)
        for place in self._places(found):
            # Until nothing goes: where an old worker still takes tasks, a pass may miss some that have moved up.
            while self._pass(place, found, with_taken=with_taken):
                pass
        while entries := self._page(self._claimed, 0):
            # Another process's, that has died meanwhile.
            self._carry(entries, found)
        lost = [replace(entry, was_taken=with_taken) for entry in self._lost(found)]
        for entries in (lost[n : n + PAGE] for n in range(0, len(lost), PAGE)):
            if with_taken:
                self._link.call(b"RPUSH", self._claimed, *map(_to_claim, entries))
                self._carry(entries, found)
            else:
                for reading in self._read(entries):
                    found.note(replace(reading, kind=Kind.RUNNING))
        return found

    def _pass(self, place: bytes, found: Found, *, with_taken: bool) -> bool:
        """Move what can be moved out of a list, from the end that old workers take from; return whether any was."""
        left, has_moved = 0, False
        while entries := self._page(place, left):
            going, staying = [], 0
            for reading in self._read(entries):
                entry = reading.entry
                if reading.request and (with_taken or reading.kind is Kind.WAITING):
                    going.append(replace(entry, was_taken=reading.kind is Kind.RUNNING))
                elif reading.kind is Kind.GONE and _is_here(entry):
                    # Its other place has been moved already.
                    self._link.call(*((b"LREM", place, -1) if place == READY else (b"ZREM", place)), entry.id)
                    found.twice += 1
                else:
                    if not found.has(entry):
                        found.note(reading)
                    staying += 1
            if going:
                arguments = chain.from_iterable((entry.id, _to_claim(entry)) for entry in going)
                self._link.call(b"EVAL", _CLAIM, 2, place, self._claimed, *arguments)
                self._carry(self._page(self._claimed, 0), found)
                has_moved = True
            left += staying
        return has_moved

    def _carry(self, entries: Sequence[Entry], found: Found) -> None:
        """Enqueue what was claimed, and forget it there; give back what has changed so that it can't be moved."""
        readings = self._read(entries)
        going = [one for one in readings if one.request and (one.kind is Kind.WAITING or one.entry.was_taken)]
        TaskQueueService.enqueue_many(one.request for one in going if one.request)
        done = going + [one for one in readings if one.kind is Kind.GONE and _is_here(one.entry)]
        for reading in readings:
            if reading not in done:
                entry = reading.entry
                claim = _to_claim(entry)
                self._link.call(b"EVAL", _GIVE_BACK, 3, self._claimed, READY, DELAYED, claim, entry.id, entry.due)
        if done:
            keys = (TASK_PREFIX + one.entry.id for one in done)
            claims = (_to_claim(one.entry) for one in done)
            self._link.call(b"EVAL", _FORGET, len(done) + 1, self._claimed, *keys, *claims)
        for reading in going:
            found.note(reading)

    def _read(self, entries: Sequence[Entry]) -> list[Reading]:
        keys = [TASK_PREFIX + entry.id for entry in entries]
        types = self._link.run([(b"TYPE", key) for key in keys]) if keys else []
        hashes = [key for key, found in zip(keys, types, strict=True) if found == b"hash"]
        commands: list[Command] = [(b"HGETALL", key) for key in hashes]
        fields = dict(zip(hashes, self._link.run(commands), strict=True)) if commands else {}
        readings = []
        for entry, key, found in zip(entries, keys, types, strict=True):
            if found not in {b"hash", b"none"}:
                problem = f"it is a {found.decode()}, not a hash"
                readings.append(Reading(entry, Kind.UNREADABLE, problem=problem))
                continue
            flat = fields.get(key, [])
            readings.append(self._checked(read_entry(entry, dict(zip(flat[::2], flat[1::2], strict=True)))))
        return readings

    def _checked(self, reading: Reading) -> Reading:
        """Find out now what could not be enqueued."""
        if reading.request is not None:
            try:
                prepare(reading.request, {}, self._max_payload_bytes)
            except (ValueError, TypeError) as error:
                return Reading(reading.entry, Kind.UNREADABLE, problem=str(error))
        return reading

    def _places(self, found: Found) -> list[bytes]:
        """Return the keys that are such lists; what only has the name is somebody else's."""
        places = []
        for key, wanted in _TYPES.items():
            there = self._link.call(b"TYPE", key)
            if there == wanted:
                places.append(key)
            elif there != b"none":
                found.unreadable[key.decode()] = f"it is a {there.decode()}, not a {wanted.decode()}"
        return places

    def _pages(self, place: bytes) -> Iterator[list[Entry]]:
        start = 0
        while entries := self._page(place, start):
            yield entries
            start += len(entries)

    def _page(self, place: bytes, start: int) -> list[Entry]:
        """Return some entries, next ones first."""
        if place == DELAYED:
            flat = self._link.call(b"ZRANGE", place, start, start + PAGE - 1, b"WITHSCORES")
            return [Entry(task_id, due) for task_id, due in zip(flat[::2], flat[1::2], strict=True)]
        if place == self._claimed:
            return [_of_claim(claim) for claim in self._link.call(b"LRANGE", place, start, start + PAGE - 1)]
        ids = self._link.call(b"LRANGE", place, -start - PAGE, -start - 1)
        return [Entry(task_id) for task_id in reversed(ids)]

    def _lost(self, found: Found) -> list[Entry]:
        """Return tasks that are in no list and have not ended: an old worker had, or has, them."""
        lost: dict[Entry, None] = {}
        cursor: Any = b"0"
        while True:
            cursor, keys = self._link.call(
                b"SCAN", cursor, b"MATCH", TASK_PREFIX + b"*", b"COUNT", 1000, b"TYPE", b"hash"
            )
            fields = self._link.run([(b"HMGET", key, *NEEDED) for key in keys]) if keys else []
            for key, values in zip(keys, fields, strict=True):
                entry = Entry(key.removeprefix(TASK_PREFIX))
                if None not in values and values[-1] in {b"pending", b"running", b"retrying"} and not found.has(entry):
                    lost[entry] = None
            if cursor == b"0":
                return list(lost)


def _is_here(entry: Entry) -> bool:
    return TaskQueueService.get_task_status(join_id(DEFAULT_QUEUE, given_uid(entry.task_id))) is not None


def _to_claim(entry: Entry) -> bytes:
    return b"%d|%b|%b" % (entry.was_taken, entry.due, entry.id)


def _of_claim(claim: bytes) -> Entry:
    was_taken, due, task_id = claim.split(b"|", 2)
    return Entry(task_id, due, was_taken == b"1")
