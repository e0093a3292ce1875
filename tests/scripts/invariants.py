"""What is true of a queue at every moment, said once, of an atomic dump."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from redis.crc import key_slot

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from singleton_service.background.task_queue.keys import QueueKeys
    from singleton_service.background.task_queue.link import Link

STRINGS = ("full",)
LISTS = ("ready:0", "ready:1", "ready:2", "ready:3", "suspects", "wake", "finished")
HASHES = (
    *("body", "running", "attempts", "errors", "reasons", "results", "counters", "settings", "waiters"),
    *("cancels", "unique", "unique_of", "line_of", "progress", "crew", "turns"),
)
ZSETS = ("due", "held", "waiting", "kept", "dead", "seen", "workers", "expiry", "pace", "shelves", "aside")
# Every table of bodies there is, named in `shelves` or not.
ON_SHELVES = """
local found = {}
for _, key in ipairs(redis.call("KEYS", KEYS[1] .. ":*")) do
    found[#found + 1] = string.sub(key, #KEYS[1] + 2)
    found[#found + 1] = redis.call("HGETALL", key)
end
return found
"""
# Every list of tasks that were passed over, named in `aside` or not.
ASIDE = ON_SHELVES.replace('"HGETALL", key', '"LRANGE", key, 0, -1')

# Where the tasks that have not ended are, and what is known of them. `wake` is no task, and a fetch takes it away.
LIVE = (
    *("body", *LISTS[:5], "due", "held", "running", "attempts", "errors", "reasons", "waiters", "owned"),
    *("cancels", "unique", "unique_of", "expiry", "waiting", "line_of", "progress", "turns", "aside"),
)
SUSPECT_AFTER = 2
HAS_LIMIT_KEY = 8


@dataclass(frozen=True)  # no slots: what is asked for each of thousands of tasks is worked out once
class Dump:
    """All of a queue at one moment: lists, hashes, sorted sets, `owned` of workers, bodies by shelf, what is aside."""

    keys: list[bytes]
    lists: dict[str, list[str]]
    hashes: dict[str, dict[str, bytes]]
    zsets: dict[str, dict[str, float]]
    owned: dict[str, dict[str, bytes]]
    shelves: dict[str, dict[str, bytes]]
    aside: dict[str, list[str]]
    is_full: bool

    @classmethod
    def read(cls, link: Link, keys: QueueKeys, workers: Sequence[str]) -> Dump:
        """Read it in one transaction."""
        owned_keys = {worker: keys.key("wake").replace(b":wake", f":owned:{worker}".encode()) for worker in workers}
        commands: list[tuple[Any, ...]] = [(b"MULTI",)]
        commands += [(b"LRANGE", keys.key(name), 0, -1) for name in LISTS]
        commands += [(b"HGETALL", keys.key(name)) for name in HASHES]
        commands += [(b"ZRANGE", keys.key(name), 0, -1, b"WITHSCORES") for name in ZSETS]
        commands += [(b"HGETALL", key) for key in owned_keys.values()]
        commands += [(b"EXISTS", keys.key(name)) for name in STRINGS]
        commands += [(b"EVAL", ON_SHELVES, 1, keys.key("body")), (b"EVAL", ASIDE, 1, keys.key("aside"))]
        *answered, on_shelves, aside = link.run([*commands, (b"EXEC",)])[-1]
        answers = iter(answered)
        shelves = {shelf.decode(): _pairs(content) for shelf, content in zip(*[iter(on_shelves)] * 2, strict=True)}
        return cls(
            keys=[*(keys.key(name) for name in (*STRINGS, *LISTS, *HASHES, *ZSETS)), *owned_keys.values()],
            lists={name: [uid.decode() for uid in next(answers)] for name in LISTS},
            hashes={name: _pairs(next(answers)) for name in HASHES},
            zsets={name: {uid: float(score) for uid, score in _pairs(next(answers)).items()} for name in ZSETS},
            owned={worker: _pairs(next(answers)) for worker in workers},
            shelves=shelves,
            aside={
                name.decode(): [entry.decode().partition("|")[2] for entry in entries]
                for name, entries in zip(*[iter(aside)] * 2, strict=True)
            },
            is_full=bool(next(answers)),
        )

    @cached_property
    def blobs(self) -> dict[str, bytes]:
        """The bodies themselves, wherever they lie."""
        everywhere = dict(self.hashes["body"])
        for shelf in self.shelves.values():
            everywhere.update(shelf)
        return everywhere

    @cached_property
    def bodies(self) -> set[str]:
        """The tasks that are kept, failed ones included."""
        return set(self.blobs)

    @property
    def ready(self) -> list[str]:
        """The tasks that can be fetched now, suspects included."""
        return [uid for name in LISTS[:5] for uid in self.lists[name]]

    @property
    def in_line(self) -> list[tuple[str, str, str]]:
        """Line, rank and uid of each task that waits in one, in their order."""
        return [(line, rank, uid) for line, rank, uid in (member.split("\n") for member in self.zsets["waiting"])]

    @cached_property
    def limit_keys(self) -> dict[str, str]:
        """The limit key of each unfinished task that has one and is not in line for a unique key."""
        lines = {uid: place.decode().partition("\n")[0] for uid, place in self.hashes["line_of"].items()}
        return {uid: line[1:] for uid, line in lines.items() if line.startswith("l")}

    @property
    def running_per_key(self) -> dict[str, int]:
        """How many run of each limit key, as `running` has it."""
        keys = self.limit_keys
        return Counter(keys[uid] for uid in self.hashes["running"] if uid in keys)

    @property
    def most_per_key(self) -> int:
        """How many of each limit key may run at once; 0 where there is no limit."""
        return int(self.hashes["settings"].get("key_limits", b"0").partition(b"|")[0])

    @property
    def limits(self) -> tuple[int, int]:
        """How many may run at once, and how many microseconds lie between starts; 0 where there is no limit."""
        most, every_us, _ = map(int, self.hashes["settings"].get("limits", b"0|0|0").split(b"|"))
        return most, every_us

    @property
    def counters(self) -> dict[str, int]:
        """What has been counted since the queue began."""
        return {name: int(value) for name, value in self.hashes["counters"].items() if ":" not in name}

    @property
    def tombstones(self) -> list[str]:
        """The places in ready lists, or aside, of tasks that were ended before they started."""
        aside = [uid for uids in self.aside.values() for uid in uids]
        return [uid for uid in self.ready + aside if uid not in self.bodies]

    def places(self) -> dict[str, Iterable[str]]:
        """Where a task can be: each is in exactly one of these."""
        bodies = self.bodies
        return {
            **{name: [uid for uid in self.lists[name] if uid in bodies] for name in LISTS[:5]},
            **{f"aside:{name}": [uid for uid in uids if uid in bodies] for name, uids in self.aside.items()},
            **{name: self.zsets[name] for name in ("due", "held", "dead")},
            "waiting": [uid for _, _, uid in self.in_line],
            "running": self.hashes["running"],
        }

    def leftovers(self) -> dict[str, Any]:
        """Return every live key that is not empty: after a drain there is none."""
        owned = {worker: has for worker, has in self.owned.items() if has}
        everything = {**self.lists, **self.hashes, **self.zsets, "body": self.blobs, "owned": owned}
        return {name: everything[name] for name in LIVE if everything[name]}

    def crashes(self, uid: str) -> int:
        """Return how often a task went down with its worker."""
        return int(self.hashes["attempts"].get(uid, b"0|0|0").split(b"|")[1])


def check(dump: Dump, *, token_taken: bool = False) -> None:
    """Fail unless every invariant holds.

    Args:
        dump: the queue.
        token_taken: the test plays a dispatcher that has popped the wake-up token and not fetched yet.
    """
    _every_body_is_in_one_place(dump)
    _every_body_lies_on_its_shelf(dump)
    _leases_and_their_index_agree(dump)
    _side_notes_belong_to_bodies(dump)
    _endings_are_complete(dump)
    _the_counts_add_up(dump)
    _suspects_are_apart(dump)
    _what_is_aside_is_named(dump)
    _keys_and_orders_belong_to_unfinished_tasks(dump)
    _lines_are_as_they_should(dump)
    _keys_take_turns(dump)
    assert len(dump.lists["wake"]) <= 1
    _ready_work_wakes_somebody(dump, token_taken=token_taken)
    assert len({key_slot(key) for key in dump.keys}) == 1


def check_drained(dump: Dump) -> None:
    """Fail unless nothing is left of the tasks but their endings."""
    check(dump)
    assert dump.leftovers() == {}


def _every_body_is_in_one_place(dump: Dump) -> None:
    found = Counter(uid for place in dump.places().values() for uid in place)
    assert {uid: number for uid, number in found.items() if number > 1} == {}, "in two places"
    assert set(found) == dump.bodies, (set(found) ^ dump.bodies, dump.places())


def _every_body_lies_on_its_shelf(dump: Dump) -> None:
    assert set(dump.zsets["shelves"]) == set(dump.shelves), "listing would miss one"
    for shelf, bodies in dump.shelves.items():
        assert {uid[1:9] if uid[0] in "4567" else uid[1:7] for uid in bodies} == {shelf}
        assert {uid[0] for uid in bodies} <= set("456789ab")
    assert {uid[0] for uid in dump.hashes["body"]} <= set("0123=")


def _leases_and_their_index_agree(dump: Dump) -> None:
    running = dump.hashes["running"]
    holder = {uid: lease.decode().partition("|")[2] for uid, lease in running.items()}
    indexed = {uid: worker for worker, owned in dump.owned.items() for uid in owned}
    assert sum(map(len, dump.owned.values())) == len(indexed), "owned by two"
    assert indexed == holder
    assert {flag for owned in dump.owned.values() for flag in owned.values()} <= {b"0", b"1"}
    # Whoever holds a lease has an end of it, so somebody will notice.
    assert set(holder.values()) <= set(dump.zsets["workers"])
    last_fence = int(dump.hashes["settings"].get("fence", 0))
    assert all(int(lease.partition(b"|")[0]) <= last_fence for lease in running.values())


def _side_notes_belong_to_bodies(dump: Dump) -> None:
    for name in ("attempts", "errors", "reasons"):
        assert set(dump.hashes[name]) <= dump.bodies, name
    assert set(dump.zsets["held"]) <= set(dump.hashes["reasons"])
    dead = set(dump.zsets["dead"])
    assert set(dump.hashes["waiters"]) <= dump.bodies - dead, "nobody will ever be told"
    assert dead <= set(dump.hashes["errors"]), "failed without a reason"
    assert not dead & set(dump.hashes["reasons"]), "held and dead"


def _endings_are_complete(dump: Dump) -> None:
    # A deleted result leaves its place in the list, until its turn comes.
    places = [place.partition("|")[0] for place in dump.lists["finished"]]
    assert set(dump.hashes["results"]) <= set(places) | set(dump.zsets["kept"])
    assert set(dump.zsets["kept"]) <= set(dump.hashes["results"])
    assert not set(dump.hashes["results"]) & dump.bodies, "completed and still there"


def _the_counts_add_up(dump: Dump) -> None:
    counters = dump.counters
    live = len(dump.bodies) - len(dump.zsets["dead"])
    failed = counters.get("failed", 0) - counters.get("revived", 0)
    ended = failed + sum(counters.get(name, 0) for name in ("completed", "cancelled", "expired"))
    assert counters.get("enqueued", 0) == ended + live
    assert counters.get("tombstones", 0) == len(dump.tombstones)


def _keys_and_orders_belong_to_unfinished_tasks(dump: Dump) -> None:
    unfinished = dump.bodies - set(dump.zsets["dead"])
    unique = {key: uid.decode() for key, uid in dump.hashes["unique"].items()}
    unique_of = {uid: key.decode() for uid, key in dump.hashes["unique_of"].items()}
    assert unique_of == {uid: key for key, uid in unique.items()}, "not each other's inverse"
    assert set(unique_of) <= unfinished
    assert set(dump.hashes["cancels"]) <= set(dump.hashes["running"])
    assert set(dump.zsets["expiry"]) <= unfinished
    assert set(dump.hashes["progress"]) <= unfinished


def _lines_are_as_they_should(dump: Dump) -> None:
    places = {uid: place.decode() for uid, place in dump.hashes["line_of"].items()}
    in_line = {uid: f"{line}\n{rank}\n{uid}" for line, rank, uid in dump.in_line}
    assert in_line.items() <= places.items()
    for line, _, uid in dump.in_line:
        if line.startswith("u"):
            assert line[1:] in dump.hashes["unique"], "in line for a key that nobody has"
            assert uid not in dump.hashes["unique_of"]
    assert set(places) - set(in_line) <= set(dump.limit_keys), "has the key, and a place in its line"
    unfinished = dump.bodies - set(dump.zsets["dead"])
    has_key = {uid for uid in unfinished if (dump.blobs[uid][2] - ord("0")) & HAS_LIMIT_KEY}
    waits_for_unique = {uid for line, _, uid in dump.in_line if line.startswith("u")}
    assert set(dump.limit_keys) == has_key - waits_for_unique


def _keys_take_turns(dump: Dump) -> None:
    counts = {field[1:]: int(number) for field, number in dump.hashes["turns"].items() if field.startswith("n")}
    assert counts == dump.running_per_key, "running says how many run"
    in_front = {field: uid.decode() for field, uid in dump.hashes["turns"].items() if not field.startswith("n")}
    ready = {uid: name for name in LISTS[:5] for uid in dump.lists[name] if uid in dump.bodies}
    aside = {uid: f"ready:{name[0]}" for name, uids in dump.aside.items() for uid in uids if uid in dump.bodies}
    ready |= aside
    for field, uid in in_front.items():
        assert dump.limit_keys[uid] == field[1:]
        assert ready.get(uid, "due") in {f"ready:{field[0]}", "suspects", "due"}
        assert uid in ready or uid in dump.zsets["due"]
    assert {uid for uid in ready if uid in dump.limit_keys} <= set(in_front.values()), "ready out of turn"
    for line, rank, _ in dump.in_line:
        key, priority = line[1:], 3 - int(rank[0])
        if line.startswith("l") and (not dump.most_per_key or counts.get(key, 0) < dump.most_per_key):
            assert any(f"{level}{key}" in in_front for level in range(priority, 4)), f"nobody of {key!r} has a turn"


def _ready_work_wakes_somebody(dump: Dump, *, token_taken: bool) -> None:
    most, every_us = dump.limits
    if token_taken or dump.lists["wake"] or "paused" in dump.hashes["settings"]:
        return
    # Whoever fetched was told how long until the next start, as for what is due.
    waits_for_its_time = every_us and "next_start" in dump.hashes["settings"]
    waits_for_room = dump.is_full and len(dump.hashes["running"]) >= most
    assert not dump.is_full or waits_for_room, "there is room, and those who wait for it do not know"
    assert waits_for_its_time or waits_for_room or not dump.ready, "work is ready and nobody will be woken for it"


def _suspects_are_apart(dump: Dump) -> None:
    assert all(dump.crashes(uid) >= SUSPECT_AFTER for uid in dump.lists["suspects"] if uid in dump.bodies)
    assert all(dump.crashes(uid) < SUSPECT_AFTER for name in LISTS[:4] for uid in dump.lists[name])


def _what_is_aside_is_named(dump: Dump) -> None:
    assert set(dump.zsets["aside"]) == set(dump.aside), "nobody would look there"
    for name, uids in dump.aside.items():
        for uid in set(uids) & dump.bodies:
            assert dump.blobs[uid].split(b"|", 1)[1].partition(b"\n")[0].decode() == name[1:]
            assert dump.blobs[uid][1:2].decode() == name[0]
            assert dump.crashes(uid) < SUSPECT_AFTER


def _pairs(flat: list[bytes]) -> dict[str, bytes]:
    return {flat[n].decode(): flat[n + 1] for n in range(0, len(flat), 2)}
