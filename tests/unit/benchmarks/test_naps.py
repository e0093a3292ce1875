"""Naps without a queue."""

from __future__ import annotations

import pytest

from benchmarks.naps import in_coroutines, in_threads


@pytest.mark.parametrize("run", [in_threads, in_coroutines])
def test_each_place_naps_until_the_time_is_over(run: object) -> None:
    assert callable(run)

    taken = run(4, 0.001, 0.05)

    assert 4 <= taken <= 4 * 51
