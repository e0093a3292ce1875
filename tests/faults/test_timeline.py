from __future__ import annotations

from .timeline import buckets, longest_stall_s, picture


def test_ends_are_counted_by_tenths_of_a_second() -> None:
    assert buckets([10.0, 10.05, 10.31]) == [2, 0, 0, 1]
    assert buckets([]) == []


def test_a_stall_shows_as_a_blank() -> None:
    assert picture([0.0, 0.01, 0.35]) == "█  ▄"
    assert picture([]) == ""


def test_a_stall_is_measured_within_the_window_only() -> None:
    ends_s = [0.0, 1.0, 1.5, 9.0]
    assert longest_stall_s(ends_s, 0.0, 2.0) == 1.0
    assert longest_stall_s(ends_s, 1.0, 9.0) == 7.5
