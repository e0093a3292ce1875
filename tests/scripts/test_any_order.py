"""Two workers do whatever comes to their mind, in any order; after every step every invariant holds."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from singleton_service.background.task_queue.codec import name_in
from singleton_service.background.task_queue.ids import given_uid, new_uid

from .invariants import check_drained
from .station import LEASE_OVER_MS, Station, uids

if TYPE_CHECKING:
    from collections.abc import Callable

    from singleton_service.background.engine import Engine
    from singleton_service.background.task_queue.lease import Lease

    from .station import Worker

NAMES = ("w", "v")
FINISHES = ("complete", "retry", "bury", "release", "hold")
CAN_BE_REPEATED = ("complete", "retry", "bury")

workers = st.sampled_from(NAMES)
numbers = st.integers(0, 50)


class TwoWorkers(RuleBasedStateMachine):
    """What the two believe, beside what the server knows."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.station = Station(engine, f"m{uuid.uuid4().hex[:12]}")
        self.hands: dict[str, list[Lease]] = {name: [] for name in NAMES}
        self.given_up: list[Lease] = []
        self.accepted: dict[bytes, str] = {}
        self.ended: set[str] = set()
        self.enqueued: list[str] = []
        self.last_fence = 0
        for name in NAMES:
            self.worker(name)

    def worker(self, name: str) -> Worker:
        return self.station.worker(name)

    def some(self, name: str, pick: int) -> list[Lease]:
        """Some of what a worker believes to hold; none when it holds none."""
        hand = self.hands[name]
        return hand[pick % len(hand) :][: 1 + pick % 3] if hand else []

    # In

    @initialize(number=st.integers(0, 8))
    def begin(self, number: int) -> None:
        self.enqueued += self.worker("w").put(number)

    @rule(
        number=st.integers(1, 4),
        priority=st.integers(0, 3),
        delay_ms=st.sampled_from([0, 0, 20_000, 80_000]),
        measure=st.sampled_from([0, 4, 8]),
    )
    def enqueue(self, number: int, priority: int, delay_ms: int, measure: int) -> None:
        when = b"+%d" % delay_ms if delay_ms else b"0"
        self.enqueued += self.worker("w").put(number, priority=priority, when=when, measure=measure)

    @rule(number=st.integers(1, 4), limit=st.integers(1, 8))
    def enqueue_below_a_limit(self, number: int, limit: int) -> None:
        dump = self.station.dump()
        unstarted = len(dump.bodies) - len(dump.hashes["running"]) - len(dump.zsets["dead"])
        self.station.limit(max_backlog=limit)
        uids = [new_uid(1) for _ in range(number)]
        offered = self.worker("w").offer(*uids)
        self.station.limit(max_backlog=0)
        fits = max(0, min(number, limit - unstarted))
        assert offered.uids == uids[:fits] + [None] * (number - fits)
        assert offered.unstarted == (0 if fits == number else max(limit, unstarted))
        self.enqueued += uids[:fits]

    @rule(n=st.integers(0, 3), priority=st.integers(0, 3))
    def enqueue_named(self, n: int, priority: int) -> None:
        uid = given_uid(f"named-{n}")
        assert self.worker("v").enqueue(uid, priority=priority) == (uid not in self.enqueued)
        if uid not in self.enqueued:
            self.enqueued.append(uid)

    @rule(pick=numbers)
    def enqueue_again(self, pick: int) -> None:
        new = new_uid(1)
        repeated = self.enqueued[pick % len(self.enqueued) :][:3] if self.enqueued else []
        assert self.worker("w").enqueue(*repeated, new, new) == 1
        self.enqueued.append(new)

    @rule(
        key=st.sampled_from("kl"),
        mode=st.sampled_from(["drop", "replace", "serial"]),
        expires=st.booleans(),
        late=st.booleans(),
    )
    def enqueue_unique(self, key: str, mode: str, *, expires: bool, late: bool) -> None:
        before = self.station.dump()
        uid = new_uid(1)
        found = self.worker("v").enqueue_with(
            uid,
            unique=key,
            mode=mode,
            expires_ms=40_000 if expires else None,
            when=b"+20000" if late else b"0",
        )
        if found != uid:
            assert mode != "serial", "it was to wait in line"
            first_in_line = [waiting for line, _, waiting in before.in_line if line == f"u{key}"][:1]
            assert found in [before.hashes["unique"][key].decode(), *first_in_line]
        else:
            self.enqueued.append(uid)

    @rule(
        key=st.sampled_from(["x", "y"]),
        number=st.integers(1, 3),
        priority=st.sampled_from([1, 1, 3]),
        when=st.sampled_from([b"0", b"0", b"+20000"]),
        expires_ms=st.sampled_from([None, None, 40_000]),
        unique=st.sampled_from([None, None, "k"]),
    )
    def enqueue_for_a_key(
        self, key: str, number: int, priority: int, when: bytes, expires_ms: int | None, unique: str | None
    ) -> None:
        for _ in range(number):
            uid = new_uid(priority)
            found = self.worker("w").enqueue_with(
                uid, limit=key, priority=priority, when=when, expires_ms=expires_ms, unique=unique, mode="serial"
            )
            assert found == uid
            self.enqueued.append(uid)

    # By hand

    @rule(pick=numbers)
    def cancel(self, pick: int) -> None:
        if self.enqueued:
            uid = self.enqueued[pick % len(self.enqueued)]
            running = self.station.dump().hashes["running"]
            verdict = self.worker("w").cancel(uid)
            assert (verdict == b"2") == (uid in running)
            assert verdict == b"0" or uid not in self.ended

    @rule(pick=numbers)
    def revive(self, pick: int) -> None:
        dead = sorted(self.station.dump().zsets["dead"])
        if dead:
            uid = dead[pick % len(dead)]
            if self.worker("w").revive(uid) == [b"1"]:
                self.ended.discard(uid)

    @rule(limit=st.integers(1, 5))
    def list_all(self, limit: int) -> None:
        told = self.worker("v").listed(limit)
        dump = self.station.dump()
        assert len(told) == len(set(told))
        assert dump.bodies <= set(told) <= dump.bodies | set(dump.hashes["results"])

    @rule(limit=st.sampled_from([1, 1000]))
    def purge(self, limit: int) -> None:
        running = set(self.station.dump().hashes["running"])
        self.worker("w").purge(limit)
        assert set(self.station.dump().hashes["running"]) == running

    @rule(paused=st.booleans())
    def pause(self, *, paused: bool) -> None:
        self.worker("w").pause(paused=paused)

    @rule(most=st.sampled_from([None, 1, 3]), rate=st.sampled_from([None, 2]))
    def limit(self, most: int | None, rate: int | None) -> None:
        self.worker("w").limit(most, rate, per_seconds=20)

    @rule(most=st.sampled_from([None, 1, 2]), rate=st.sampled_from([None, 2]))
    def limit_keys(self, most: int | None, rate: int | None) -> None:
        self.worker("v").limit_keys(most, rate, per_seconds=20)

    # Out

    @rule(
        name=workers,
        number=st.sampled_from([1, 2, 5, 0]),
        started=st.sampled_from([5, 1, 0]),
        suspect=st.sampled_from([True, True, False]),
        is_lost=st.sampled_from([False, False, True]),
        rooms=st.sampled_from([(), (), (0,), (1,), (0, 1)]),
    )
    def fetch(
        self, name: str, number: int, started: int, *, suspect: bool, is_lost: bool, rooms: tuple[int, ...]
    ) -> None:
        before = self.station.dump()
        # In a lane that is narrow: one in three of those with a name of their own, and another one in three.
        lanes = [(room, ["job", *self.enqueued][n::3]) for n, room in enumerate(rooms)]
        fetched = self.worker(name).fetch(number, started, suspect=suspect, lanes=lanes)
        leases = fetched.leases
        names = [name_in(lease.body) for lease in leases if not lease.is_suspect]
        for (room, in_lane), is_left in zip(lanes, fetched.left_aside, strict=True):
            assert sum(called in in_lane for called in names) <= room
            assert is_left == any(list_[1:] in in_lane for list_ in self.station.dump().aside)
        most, every_us = before.limits
        assert not most or len(leases) <= max(0, most - len(before.hashes["running"]))
        assert not every_us or len(leases) <= 1, "the next one starts ten seconds later"
        after = self.station.dump()
        for key, running in after.running_per_key.items():
            assert not after.most_per_key or running <= max(after.most_per_key, before.running_per_key.get(key, 0))
        suspects = [lease for lease in leases if lease.is_suspect]
        assert not suspects or (suspect and len(leases) == 1)
        assert not set(uids(leases)) & self.ended
        for lease in leases:
            assert lease.fence > self.last_fence
        if leases:
            self.last_fence = leases[0].fence
        if not is_lost:
            self.hands[name] += leases

    @rule(name=workers, pick=numbers)
    def start(self, name: str, pick: int) -> None:
        some = self.some(name, pick)
        running = self.station.dump().hashes["running"]
        mine = [lease for lease in some if running.get(lease.uid) == lease.token]
        assert self.worker(name).start(*some) == len(mine)

    @rule(name=workers, pick=numbers, wanted=st.sampled_from([b"e", b"p", b"n"]))
    def await_end(self, name: str, pick: int, wanted: bytes) -> None:
        uids = self.enqueued[pick % len(self.enqueued) :][:3] if self.enqueued else []
        live = self.station.dump().bodies - self.ended
        for uid, verdict in zip(uids, self.worker(name).await_end(*uids, wanted=wanted).decode(), strict=True):
            assert verdict == "n" if wanted == b"n" else verdict == "e" or uid in live

    @rule(name=workers, pick=numbers, stale=st.booleans())
    def report(self, name: str, pick: int, *, stale: bool) -> None:
        leases = self.given_up[pick % len(self.given_up) :][:2] if stale and self.given_up else self.some(name, pick)
        before = self.station.dump()
        running = before.hashes["running"]
        mine = {lease.uid for lease in leases if running.get(lease.uid) == lease.token}
        answer = self.worker(name).report(*leases, percent=b"%d" % pick)
        assert [verdict == ord("1") for verdict in answer] == [
            running.get(lease.uid) == lease.token for lease in leases
        ]
        noted = self.station.dump().hashes["progress"]
        assert {uid for uid in noted if noted[uid] != before.hashes["progress"].get(uid)} <= mine <= set(noted)

    @rule(name=workers, verb=st.sampled_from(FINISHES), pick=numbers)
    def finish(self, name: str, verb: str, pick: int) -> None:
        leases = self.some(name, pick)
        running = self.station.dump().hashes["running"]
        method: Callable[..., bytes] = getattr(self.worker(name), verb)
        answer = method(*leases)
        for lease, verdict in zip(leases, answer.decode(), strict=True):
            # The answer is yes exactly for those whose lease this is.
            assert (verdict != "0") == (running.get(lease.uid) == lease.token)
            if verdict != "0":
                self.accept(lease, verb if verdict == "1" else "bury")
            self.hands[name].remove(lease)
            self.given_up.append(lease)

    @precondition(lambda self: self.given_up)
    @rule(verb=st.sampled_from(FINISHES), pick=numbers, again=st.booleans())
    def finish_too_late(self, verb: str, pick: int, *, again: bool) -> None:
        lease = self.given_up[pick % len(self.given_up)]
        before = self.station.dump()
        method: Callable[..., bytes] = getattr(self.worker(lease.worker), verb)
        answer = method(lease, again=True) if again and verb in CAN_BE_REPEATED else method(lease)
        if answer != b"0":
            assert again
            assert self.accepted.get(lease.token + lease.uid.encode()) == verb
        if answer == b"0" or verb != "hold":
            # A hold that changes nothing does not even wake anybody.
            assert self.station.dump() == before

    def accept(self, lease: Lease, verb: str) -> None:
        key = lease.token + lease.uid.encode()
        assert key not in self.accepted
        self.accepted[key] = verb
        if verb in {"complete", "bury"}:
            assert lease.uid not in self.ended, "ended twice"
            self.ended.add(lease.uid)

    # Time and death

    @rule(ms=st.sampled_from([1_500, 31_000, LEASE_OVER_MS]))
    def time_goes_by(self, ms: int) -> None:
        self.station.advance(ms)

    @rule(name=workers)
    def beat_and_recover(self, name: str) -> None:
        for lost in self.worker(name).beat().lost_workers:
            self.recover(name, lost)

    @rule(name=workers, is_zombie=st.booleans())
    def fall_silent(self, name: str, *, is_zombie: bool) -> None:
        other = NAMES[1 - NAMES.index(name)]
        self.worker(other).beat()
        self.station.advance(LEASE_OVER_MS)
        assert name not in self.station.dump().zsets["workers"] or name in self.worker(other).beat().lost_workers
        self.recover(other, name)
        assert not any(lease.endswith(b"|" + name.encode()) for lease in self.station.dump().hashes["running"].values())
        if not is_zombie:
            self.given_up += self.hands[name]
            self.hands[name] = []

    @rule(name=workers, lost=workers)
    def recover(self, name: str, lost: str) -> None:
        before = self.station.dump()
        _, buried, left = self.worker(name).recover(lost)
        after = self.station.dump()
        if left == -1:
            assert after == before
            return
        assert left == 0
        assert after.owned[lost] == {}
        newly_dead = set(after.zsets["dead"]) - set(before.zsets["dead"])
        assert len(newly_dead) == buried
        assert all(before.crashes(uid) == 2 for uid in newly_dead)
        for uid, started in before.owned[lost].items():
            if uid not in after.bodies:
                assert uid in before.hashes["cancels"], "told to stop, so it ended here"
                continue
            assert after.crashes(uid) == before.crashes(uid) + (started == b"1"), "counted only once it had started"
        self.ended |= newly_dead

    @rule(name=workers)
    def reconcile(self, name: str) -> None:
        hand = self.hands[name]
        running = self.station.dump().hashes["running"]
        self.worker(name).reconcile(*hand)
        after = self.station.dump().hashes["running"]
        held = set(uids(hand))
        assert {uid for uid, lease in running.items() if uid not in after} == {
            uid for uid, lease in running.items() if lease.endswith(b"|" + name.encode()) and uid not in held
        }

    @rule(name=workers)
    def leave(self, name: str) -> None:
        owned = len(self.station.dump().owned[name])
        assert self.worker(name).leave() == owned

    # Always

    @invariant()
    def everything_holds(self) -> None:
        dump = self.station.check()
        ended = set(dump.hashes["results"]) | set(dump.zsets["dead"])
        # Cancelled and expired ones end in passing, in any script.
        assert ended >= self.ended
        self.ended = ended
        assert dump.bodies | self.ended == set(self.enqueued)

    def teardown(self) -> None:
        try:
            self.drain()
        finally:
            self.station.erase()
            self.station.close()

    def drain(self) -> None:
        """From wherever it stands, one more worker brings everything to an end."""
        last = self.station.worker("last")
        last.pause(paused=False)
        last.limit()
        last.limit_keys()
        for _ in range(10):
            self.station.advance(LEASE_OVER_MS)
            for lost in last.beat().lost_workers:
                last.recover(lost)
            while leases := last.take(100):
                assert last.complete(*leases) == b"1" * len(leases)
            if len(self.station.dump().bodies) == len(self.station.dump().zsets["dead"]):
                break
        for name in (*NAMES, "last"):
            self.worker(name).leave()
        if dead := list(self.station.check().zsets["dead"]):
            self.station.limit(max_failed=0)
            assert last.sweep() == (0, len(dead))
        dump = self.station.check()
        check_drained(dump)
        assert dump.zsets["workers"] == {}


@pytest.mark.timeout(120)
def test_whatever_two_workers_do_no_task_is_lost_or_doubled(engine: Engine) -> None:
    class Here(TwoWorkers):
        def __init__(self) -> None:
            super().__init__(engine)

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=160,
            stateful_step_count=50,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
