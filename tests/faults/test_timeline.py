from __future__ import annotations

from .timeline import Stall, buckets, picture, stalls


def test_ends_are_counted_by_tenths_of_a_second() -> None:
    assert buckets([10.0, 10.05, 10.31]) == [2, 0, 0, 1]
    assert buckets([]) == []


def test_a_stall_shows_as_a_blank() -> None:
    assert picture([0.0, 0.01, 0.35]) == "█  ▄"
    assert picture([]) == ""


def test_a_stall_is_measured_within_the_window_only() -> None:
    ends_s = [0.0, 1.0, 1.5, 9.0]
    assert stalls(ends_s, 0.0, 2.0, []) == [Stall(1.0, 0.0), Stall(0.5, 0.0), Stall(0.5, 0.0)]
    assert stalls(ends_s, 1.5, 9.0, []) == [Stall(7.5, 0.0)]


def test_a_fault_excuses_the_stall_that_it_meets_and_no_other() -> None:
    ends_s = [0.0, 4.0, 8.0]
    assert stalls(ends_s, 0.0, 8.0, [(1.0, 3.5)]) == [Stall(4.0, 2.5), Stall(4.0, 0.0)]


def test_faults_are_one_where_nobody_has_the_time_to_go_on_between_them() -> None:
    faults = [(4.5, 8.0), (1.0, 4.0), (2.0, 3.0)]
    assert stalls([0.0, 9.0], 0.0, 9.0, faults) == [Stall(9.0, 7.0)]
    assert stalls([0.0, 9.0], 0.0, 9.0, [(5.5, 8.0), (1.0, 4.0)]) == [Stall(9.0, 3.0)]
    assert stalls([0.0, 4.2, 9.0], 0.0, 9.0, faults) == [Stall(4.2, 3.0), Stall(9.0 - 4.2, 3.5)]
