"""What a run says of how long it still takes."""

from __future__ import annotations

import pytest

from benchmarks.peers.progress import Progress


def test_what_has_not_been_done_takes_what_was_guessed_on_a_machine_as_fast_as_this() -> None:
    progress = Progress([("drain", "a"), ("drain", "b"), ("start", "a")], {"drain": 10.0, "start": 2.0})

    said = progress.done(("drain", "a"), 20.0)

    assert progress.left_s == pytest.approx(24.0)
    assert said == "1/3, 24 s left"


def test_what_comes_again_takes_what_it_took() -> None:
    progress = Progress([("drain", "slow"), ("drain", "quick")] * 2, {"drain": 10.0})
    progress.done(("drain", "slow"), 300.0)

    assert progress.done(("drain", "quick"), 1.0) == "2/4, 5 min left"


def test_nothing_is_left_at_the_end() -> None:
    progress = Progress([("start", "a")], {"start": 1.0})

    assert progress.done(("start", "a"), 3.0) == "1/1, 0 s left"
