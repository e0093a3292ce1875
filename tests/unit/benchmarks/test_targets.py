"""What was aimed for, computed from a run whose figures are fixed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.peers.contestants import OUR_COROUTINES, OUR_EMBEDDED, OUR_THREADS
from benchmarks.peers.run import Outcome
from benchmarks.peers.targets import Target, target_table, targets

if TYPE_CHECKING:
    from benchmarks.peers.measures import Figures


def outcome(ours: Figures, **others: Figures) -> Outcome:
    return Outcome(figures={OUR_THREADS.name: ours, **{name.replace("_", " "): own for name, own in others.items()}})


def only(found: Outcome, beginning: str) -> Target:
    (target,) = (target for target in targets(found) if target.what.startswith(beginning))
    return target


def test_a_ratio_is_taken_to_the_best_python_peer_and_not_to_bullmq() -> None:
    found = outcome({"drain_one": 30_000}, Huey={"drain_one": 1000}, RQ={"drain_one": 100})
    found.figures["BullMQ (Node)"] = {"drain_one": 10_000}

    python = only(found, "drain, 8 threads, over the best Python peer")
    node = only(found, "drain, 8 threads, over BullMQ")

    assert (python.got, python.is_met) == (30, True)
    assert (node.got, node.is_met) == (3, False)
    assert node.verdict == "**missed**: 0.60x of it"


def test_what_is_bare_is_the_median_of_its_moments() -> None:
    found = outcome({"pick_up_p50": 0.6})
    found.bare = {"before": {"hop_p50": 0.4}, "between": {"hop_p50": 0.5}, "after": {"hop_p50": 2.0}}

    target = only(found, "pick-up p50, over the bare wake-up")

    assert target.got == pytest.approx(1.2)
    assert target.is_met


def test_a_cost_has_to_be_below_the_least_of_those_who_keep_a_status() -> None:
    found = outcome({"server_memory": 300}, Huey={"server_memory": 200}, streaq={"server_memory": 373})

    target = only(found, "server memory")

    assert (target.aim, target.is_met) == (373, True)


def test_memory_has_to_be_below_the_median() -> None:
    found = outcome(
        {"worker_memory": 40}, Huey={"worker_memory": 30}, RQ={"worker_memory": 38}, arq={"worker_memory": 90}
    )

    assert only(found, "worker memory").verdict == "**missed**: 1.05x of it"


def test_two_processes_may_fill_all_cores_instead() -> None:
    full = {"drain_two": 10_000.0, "drain_two_busy": 97.0}

    assert only(outcome(full, Huey={"drain_two": 1000}), "drain, two").verdict == "met: all cores are full, 97 %"
    assert not only(outcome(full | {"drain_two_busy": 60.0}, Huey={"drain_two": 1000}), "drain, two").is_met
    assert only(outcome(full, Huey={"drain_two": 500}), "drain, two").verdict == "met"


def test_each_verb_has_to_cost_the_same_at_every_depth() -> None:
    found = outcome({})
    found.depth = {"10": {"fetch": 3.0, "enqueue": 2.0}, "1000": {"fetch": 3.3, "enqueue": 5.0}}

    fetch, enqueue = targets(found)

    assert fetch.is_met
    assert fetch.cells[1:3] == ["at most 1.2x", "1.1x"]
    assert not enqueue.is_met


def test_coroutines_and_the_embedded_server_have_targets_of_their_own() -> None:
    found = Outcome(
        figures={OUR_COROUTINES.name: {"sleep_10": 94.0}, OUR_EMBEDDED.name: {"start": 0.5}, "arq": {"start": 0.25}}
    )

    assert {target.what: target.is_met for target in targets(found)} == {
        "tasks of 10 ms of sleep on 200 coroutines, of the ideal": False,
        "start to first task, embedded from cold": True,
    }


def test_an_ideal_that_no_loop_reaches_is_told_as_such() -> None:
    found = Outcome(figures={OUR_COROUTINES.name: {"sleep_1": 20.0, "sleep_100": 96.0}})
    found.bare = {"before": {"bare_drain": 50_000.0}}

    assert [target.what for target in targets(found)] == [
        "tasks of 1 ms of sleep on 200 coroutines, of the ideal (the bare loop reaches 25.0 %)",
        "tasks of 100 ms of sleep on 200 coroutines, of the ideal",
    ]


def test_a_target_without_figures_is_left_out() -> None:
    assert list(targets(Outcome())) == []
    assert "this run" in target_table(Outcome())


def test_threads_are_compared_with_threads_and_coroutines_with_coroutines() -> None:
    found = outcome({"enqueue_threads": 12_000}, Huey={"enqueue_threads": 4000}, SAQ={"enqueue_coroutines": 10_000})
    found.figures[OUR_COROUTINES.name] = {"enqueue_coroutines": 25_000}
    found.bare = {"before": {"joined_threads": 20_000}}

    threads, coroutines = only(found, "enqueue from 8 threads"), only(found, "enqueue from 8 coroutines")

    assert (threads.got, coroutines.got) == (3, 2.5)
    assert threads.what.endswith("(0.60x of bare threads, 1.2x of the best one's coroutines)")
    assert coroutines.what == "enqueue from 8 coroutines, over the best Python peer's"


def test_an_ideal_that_nothing_but_sleep_does_not_reach_is_told_with_its_target() -> None:
    found = outcome({"sleep_1": 70.0, "sleep_10": 96.0, "sleep_100": 99.0})
    found.bare = {"before": {"nap_threads_1": 91.5, "nap_threads_10": 98.2, "bare_drain": 6000.0}}

    short, middle, long = (each.what for each in targets(found))

    assert short.endswith("of the ideal (nothing but sleep reaches 91.5 %, the bare loop reaches 75.0 %)")
    assert middle == "tasks of 10 ms of sleep on 8 threads, of the ideal"
    assert long == "tasks of 100 ms of sleep on 8 threads, of the ideal"
