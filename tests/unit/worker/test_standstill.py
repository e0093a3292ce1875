from __future__ import annotations

from singleton_service.background.worker.standstill import Standstill


def test_what_goes_round_never_stands_still() -> None:
    loop = Standstill(1.0)
    assert all(loop.look(n, float(n)) for n in range(10))
    assert loop.seconds == 0


def test_what_stands_still_is_counted_until_it_moves() -> None:
    loop = Standstill(1.0)
    assert [loop.look(7, float(n)) for n in range(5)] == [True, False, False, False, False]
    assert loop.seconds == 4
    assert loop.look(8, 5.0)
    assert loop.seconds == 0


def test_the_time_in_which_nobody_could_look_is_nobodys_fault() -> None:
    loop = Standstill(1.0)
    loop.look(7, 0.0)
    loop.look(7, 8 * 3600.0)  # the lid was closed
    assert loop.seconds == 2
