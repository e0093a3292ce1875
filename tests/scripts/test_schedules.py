"""The scripts of schedules alone, on real servers, with a clock that the test moves."""

from __future__ import annotations

import uuid
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.scheduler.clock import ServerClock
from singleton_service.background.scheduler.scripts import ScheduleKeys
from singleton_service.background.scheduler.store import LEASE_MS, Step, Store
from singleton_service.background.task_queue.errors import ProtocolVersionError
from singleton_service.background.task_queue.link import Link
from singleton_service.background.task_queue.protocol import PROTOCOL_VERSION
from singleton_service.background.task_queue.scripts import load_scripts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from singleton_service.background.engine import Engine

LEASE_OVER_MS = LEASE_MS + 1000
DAY_MS = 24 * 3600 * 1000


class Office:
    """The schedules of one namespace, and the processes that speak of them."""

    def __init__(self, engine: Engine) -> None:
        self.keys = ScheduleKeys(f"s{uuid.uuid4().hex[:12]}")
        self.link = Link(engine, load_scripts())
        self.offset_ms = 0
        self._clerks: dict[str, Any] = {}

    def clerk(self, process: str = "p") -> Store:
        """Return one process's store."""
        client: Any = self._clerks.get(process)
        if client is None:
            settings = SimpleNamespace(namespace=self.keys.namespace)
            client = SimpleNamespace(settings=settings, worker_id=process, scripts=load_scripts(self.offset_ms))
            client.read = self.link.run
            self._clerks[process] = client
        return Store(client, ServerClock())

    def advance(self, ms: int) -> None:
        """Move the scripts' clock."""
        self.offset_ms += ms
        for client in self._clerks.values():
            client.scripts = load_scripts(self.offset_ms)

    def call(self, *command: bytes | str | int) -> Any:
        return self.link.call(*command)

    def hash(self, name: str) -> dict[str, str]:
        flat = self.call(b"HGETALL", self.keys.key(name))
        return {flat[n].decode(): flat[n + 1].decode() for n in range(0, len(flat), 2)}

    def zset(self, name: str) -> dict[str, int]:
        flat = self.call(b"ZRANGE", self.keys.key(name), 0, -1, b"WITHSCORES")
        return {flat[n].decode(): int(flat[n + 1]) for n in range(0, len(flat), 2)}

    def check(self) -> None:
        """Check what is true whatever was done."""
        states = {found.id: found.state for found in self.clerk().read_all()}
        assert self.hash("definitions").keys() == self.hash("states").keys() == states.keys()
        active = {
            schedule_id: state.next_ms
            for schedule_id, state in states.items()
            if state is not None and state.is_active and state.next_ms is not None
        }
        assert self.zset("instants") == active, "who fires is known by its instant, and nobody else is"
        changes, removed = self.zset("changes"), self.zset("removed")
        assert changes.keys() == states.keys() | removed.keys()
        assert removed.items() <= changes.items()
        assert all(state is None or changes[schedule_id] == state.revision for schedule_id, state in states.items())
        assert len(set(changes.values())) == len(changes), "no two changes are one"
        assert self.hash("declarations").keys() == self.zset("declarers").keys()

    def erase(self) -> None:
        """Take everything off the server; nothing lies outside of the one slot."""
        cursor, keys = b"0", []
        while True:
            cursor, page = self.call(b"SCAN", cursor, b"MATCH", f"{self.keys.namespace}:*", b"COUNT", 1000)
            keys += page
            if cursor == b"0":
                break
        assert all(b":{schedules}:" in key for key in keys)
        if keys:
            self.call(b"DEL", *keys)
        self.link.close()


@pytest.fixture
def office(engine: Engine) -> Iterator[Office]:
    office = Office(engine)
    yield office
    office.check()
    office.erase()


@pytest.fixture
def store(office: Office) -> Store:
    return office.clerk()


def state(store: Store, schedule_id: str = "a") -> Any:
    found = store.find(schedule_id)
    return None if found is None else found.state


def step(store: Store, schedule_id: str = "a", next_ms: int | None = 2000, **changes: Any) -> Step:
    now = state(store, schedule_id)
    fields = {
        "id": schedule_id,
        "revision": now.revision,
        "instant_ms": now.next_ms,
        "next_ms": next_ms,
        "runs": 1,
        "missed": 0,
        "lines": f"{now.next_ms}|f|q.=x",
    }
    return Step(**{**fields, **changes})


def test_a_schedule_is_found_as_it_was_put(store: Store) -> None:
    assert store.put("a", b'{"v":1}', 1000)

    found = store.find("a")
    assert found is not None
    assert found.state is not None
    assert (found.definition, found.state.next_ms, found.state.runs, found.state.missed) == (b'{"v":1}', 1000, 0, 0)
    assert not found.state.is_declared
    assert store.find("b") is None
    store.beat()
    assert store.count() == (1, 1)


def test_the_same_definition_again_changes_nothing_and_another_takes_its_place(store: Store) -> None:
    store.put("a", b"1", 1000)
    assert store.advance([step(store)]) == [True]
    before = state(store)

    assert not store.put("a", b"1", 9000)
    assert state(store) == before

    assert store.put("a", b"2", 9000)
    assert (state(store).next_ms, state(store).runs) == (9000, 0)
    assert state(store).revision > before.revision


def test_of_those_who_saw_to_an_instant_one_goes_on_from_it(office: Office) -> None:
    one, other = office.clerk("p"), office.clerk("o")
    one.put("a", b"1", 1000)
    theirs = step(other)

    assert one.advance([step(one)]) == [True]
    assert other.advance([theirs]) == [False]

    assert (state(one).next_ms, state(one).runs) == (2000, 1)
    assert len(one.histories(["a"])[0]) == 1


@pytest.mark.parametrize("change", ["put", "pause", "remove"])
def test_a_schedule_that_changed_meanwhile_is_not_gone_on_from(store: Store, change: str) -> None:
    store.put("a", b"1", 1000)
    late = step(store)
    changes: dict[str, Callable[[], object]] = {
        "put": lambda: store.put("a", b"2", 1000),
        "pause": lambda: store.pause("a", late.revision),
        "remove": lambda: store.remove("a"),
    }
    changes[change]()
    before = store.find("a")

    assert store.advance([late]) == [False]
    assert store.find("a") == before


def test_many_go_on_at_once_each_by_itself(store: Store) -> None:
    for n in range(300):
        store.put(f"s{n}", b"1", 1000)
    steps = [step(store, f"s{n}", next_ms=None if n % 2 else 2000) for n in range(300)]
    assert store.advance(steps[:10]) == [True] * 10

    assert store.advance(steps) == [False] * 10 + [True] * 290
    store.beat()
    assert store.count() == (150, 150), "those that are over fire no more"


def test_the_latest_twenty_fires_are_kept(store: Store) -> None:
    store.put("a", b"1", 0)
    for n in range(1, 30):
        store.advance([step(store, next_ms=n * 1000)])
    store.advance([step(store, next_ms=90_000, runs=2, missed=3, lines="29000|f|q.=a\n30000|s|q.=b")])

    (history,) = store.histories(["a"])
    assert [int(line[0]) for line in history] == [n * 1000 for n in range(11, 31)]
    assert history[-1][2:] == ["s", "q.=b"]
    assert int(history[-1][1]) > 1_700_000_000_000, "when it was fired, by the server's clock"
    assert (state(store).runs, state(store).missed) == (31, 3)


def test_a_fire_by_hand_is_noted_and_moves_nothing(store: Store) -> None:
    store.put("a", b"1", 1000)
    before = state(store)

    assert store.note("a", "500|h|q.x")
    assert not store.note("b", "500|h|q.x")

    assert state(store) == before
    assert store.histories(["a", "b"])[1] == []
    assert store.histories(["a"])[0][0][2:] == ["h", "q.x"]


def test_a_paused_schedule_has_no_instant_until_it_goes_on(store: Store) -> None:
    store.put("a", b"1", 1000)
    revision = state(store).revision

    assert store.pause("b", 1) == "unknown"
    assert store.pause("a", revision - 1) == "changed"
    assert store.pause("a", revision) == "done"
    store.beat()
    assert store.count() == (0, 0)
    assert store.pause("a", state(store).revision) == "same"

    assert store.resume("a", state(store).revision, 7000) == "done"
    assert (state(store).next_ms, state(store).is_paused) == (7000, False)
    assert store.resume("a", state(store).revision, 7000) == "same"


def test_a_changed_schedule_stays_paused(store: Store) -> None:
    store.put("a", b"1", 1000)
    store.pause("a", state(store).revision)

    store.put("a", b"2", 5000)

    assert state(store).is_paused


def test_a_reader_hears_of_each_change_once_and_of_no_fire(store: Store) -> None:
    for name in "abc":
        store.put(name, b"1", 1000)
    _, page = store.read(0)
    since = page[-1].changed
    assert [found.id for found in page] == ["a", "b", "c"]

    store.advance([step(store, "b")])
    assert store.read(since) == (True, [])

    store.put("a", b"2", 1000)
    store.remove("c")
    _, page = store.read(since)
    assert [(found.id, found.definition) for found in page] == [("a", b"2"), ("c", None)]
    assert store.beat().revision == page[-1].changed


def test_many_are_read_by_pages(store: Store) -> None:
    for n in range(25):
        store.put(f"s{n}", b"1", 1000)

    since, found = 0, []
    while page := store.read(since, 10)[1]:
        assert len(page) <= 10
        found += [each.id for each in page]
        since = page[-1].changed
    assert found == [f"s{n}" for n in range(25)]
    big = b"x" * 600_000
    for n in range(5):
        store.put(f"s{n}", big, 1000)
    assert len(store.read(since, 10)[1]) == 2, "a page with large payloads ends early"
    assert len(store.read_all()) == 25


def test_a_reader_who_was_away_for_a_thousand_removals_is_told_to_begin_anew(store: Store) -> None:
    store.put("a", b"1", 1000)
    store.put("gone", b"1", 1000)
    since = store.beat().revision
    for n in range(1001):
        store.put(f"s{n}", b"1", 1000)
        store.remove(f"s{n}")

    store.remove("gone")

    assert not store.read(since)[0]
    assert store.read(0)[0]
    assert store.read(store.beat().revision - 10)[0]


def test_a_removed_schedule_comes_back_as_a_new_one(store: Store) -> None:
    store.put("a", b"1", 1000)
    store.note("a", "500|h|q.x")
    assert store.remove("a")
    assert not store.remove("a")
    assert store.histories(["a"]) == [[]]

    assert store.put("a", b"1", 3000)

    assert state(store).next_ms == 3000


def test_what_is_declared_often_is_one_schedule_with_its_instants(office: Office) -> None:
    for n in range(10):
        process = office.clerk(f"p{n}")
        assert process.declare([("a", b"1", 1000 + n)]) == [n == 0]
        process.leave()
        process.beat()

    assert len(office.clerk().read_all()) == 1
    assert state(office.clerk()).next_ms == 1000


def test_what_no_running_code_declares_is_retired_and_nobody_else_is(office: Office) -> None:
    old, new = office.clerk("old"), office.clerk("new")
    old.declare([("kept", b"1", 1000), ("dropped", b"1", 1000)])
    new.put("by-hand", b"1", 1000)
    new.declare([("kept", b"1", 1000)])

    office.advance(LEASE_OVER_MS - 2000)
    assert new.beat().is_known
    assert not state(new, "dropped").is_retired, "its process may live"
    office.advance(LEASE_OVER_MS)
    new.declare([("kept", b"1", 1000)])
    new.beat()

    assert state(new, "dropped").is_retired
    assert not state(new, "kept").is_retired
    assert not state(new, "by-hand").is_retired
    assert not old.beat().is_known
    assert new.pause("dropped", state(new, "dropped").revision) == "unknown"


def test_while_old_and_new_code_run_side_by_side_nothing_is_retired(office: Office) -> None:
    old, new = office.clerk("old"), office.clerk("new")
    old.declare([("a", b"1", 1000)])
    new.declare([])
    revision = new.beat().revision

    for _ in range(10):
        office.advance(LEASE_MS // 2)
        assert old.beat().is_known
        assert new.beat().is_known

    assert new.beat().revision == revision, "nothing flaps"


def test_what_comes_back_within_a_day_keeps_its_instants_and_later_begins_anew(office: Office) -> None:
    process, other = office.clerk("p"), office.clerk("o")
    other.declare([])
    for away_ms, expected in ((DAY_MS - LEASE_OVER_MS, 1000), (DAY_MS + LEASE_OVER_MS, 5000)):
        process.declare([("a", b"1", 1000)])
        process.leave()
        other.beat()
        assert state(other).is_retired
        office.advance(away_ms)
        other.declare([])

        process.declare([("a", b"1", 5000)])

        assert (state(other).is_retired, state(other).next_ms) == (False, expected)


def test_when_those_whose_words_are_in_force_are_gone_the_others_are_asked(office: Office) -> None:
    old, new = office.clerk("old"), office.clerk("new")
    new.declare([("a", b"new", 1000)])
    old.declare([("a", b"old", 1000)])
    since = new.beat().revision
    old.leave()
    new.beat()

    (found,) = new.read(since)[1]
    assert found.state is not None
    assert (found.definition, found.state.declared_by, found.state.is_retired) == (b"old", "", False)
    new.declare([("a", b"new", 1000)])
    assert state(new).declared_by == "new"


def test_what_a_process_declares_no_more_is_retired_at_once(office: Office) -> None:
    process, other = office.clerk("p"), office.clerk("o")
    process.declare([("a", b"1", 1000), ("b", b"1", 1000)])
    other.declare([("b", b"1", 1000)])

    process.declare([])

    assert state(process, "a").is_retired
    assert not state(process, "b").is_retired


def test_a_change_is_published_with_its_revision(office: Office, store: Store) -> None:
    office.link.send(b"SUBSCRIBE", office.keys.changed_channel)
    office.link.receive()
    changer = Link(office.link._engine, load_scripts())
    store._ask = changer.run
    try:
        store.put("a", b"1", 1000)
        store.put("a", b"1", 1000)
        store.advance([step(store)])
        store.declare([("b", b"1", 1000)])
        heard = [office.link.receive()[2] for _ in range(2)]
        assert not office.link.has_reply()
    finally:
        changer.close()
        office.link.close()

    assert heard == [b"1", b"2"]


def test_every_script_survives_a_server_that_forgot_it(office: Office, store: Store) -> None:
    store.put("a", b"1", 1000)
    office.call(b"SCRIPT", b"FLUSH")

    assert store.advance([step(store)]) == [True]


def test_in_a_gap_in_which_no_scheduler_runs_nothing_is_retired(office: Office) -> None:
    process, reader = office.clerk("p"), office.clerk("r")
    process.declare([("a", b"1", 1000)])
    process.leave()
    office.advance(3 * DAY_MS)

    assert not reader.beat().is_known
    assert not process.beat().is_known

    assert not state(reader).is_retired
    office.clerk("next").declare([("a", b"1", 9000)])
    assert state(reader).next_ms == 1000, "what it missed is made up for"


def test_what_a_newer_version_has_made_its_own_is_not_written_to(office: Office, store: Store) -> None:
    store.put("a", b"1", 1000)
    last = step(store)
    office.call(b"HSET", office.keys.key("facts"), b"protocol", PROTOCOL_VERSION)
    assert store.beat()
    before = {name: office.hash(name) for name in ("states", "definitions", "declarations")}
    office.call(b"HSET", office.keys.key("facts"), b"protocol", PROTOCOL_VERSION + 1)
    verbs: list[Callable[[], object]] = [
        lambda: store.put("b", b"1", 1000),
        lambda: store.remove("a"),
        lambda: store.pause("a", last.revision),
        lambda: store.advance([last]),
        lambda: store.note("a", "500|h|q.x"),
        lambda: store.declare([("b", b"1", 1000)]),
        lambda: store.beat(),  # noqa: PLW0108 - as the others
    ]

    for verb in verbs:
        with pytest.raises(ProtocolVersionError, match="Upgrade singleton-service here"):
            verb()

    assert {name: office.hash(name) for name in before} == before
    assert [found.id for found in store.read_all()] == ["a"], "reading it does no harm"
