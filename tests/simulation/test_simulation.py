"""Some hundreds of seeds; 10,000 in `make soak`. A seed that broke something: python -m tests.simulation --seed N."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from singleton_service.background.task_queue.heartbeat import Heartbeat
from tests.faults.mutants import MUTANTS

from .network import FATES
from .world import play

if TYPE_CHECKING:
    from singleton_service.background.engine import Engine

    from .network import Changes

SEEDS, AT_ONCE = 240, 40


@pytest.mark.parametrize("first", range(1, SEEDS + 1, AT_ONCE))
def test_whatever_becomes_of_each_call_no_task_is_lost_or_ends_twice(server: Engine, first: int) -> None:
    bites: Counter[str] = Counter()
    for seed in range(first, first + AT_ONCE):
        tale = play(seed, server)
        assert not tale.broken, f"seed {seed}: {tale.broken}\nSee it: python -m tests.simulation --seed {seed}"
        bites.update(tale.bites)
    assert all(bites[fate] > 2 * AT_ONCE for fate in FATES), bites


def test_a_seed_tells_the_same_tale_each_time(server: Engine) -> None:
    tale = next(tale for tale in (play(seed, server) for seed in range(1, SEEDS)) if len(tale.bites) == len(FATES))
    assert play(tale.seed, server) == tale
    assert len(tale.log) > 20


def without(safeguard: str) -> Changes:
    """Return the change to the scripts that takes a safeguard out, as `make mutants` does."""
    (mutant,) = [mutant for mutant in MUTANTS if mutant.name == safeguard]
    return ((mutant.text, mutant.instead),)


@pytest.mark.parametrize(
    ("safeguard", "says"),
    [
        ("the fence is compared", ("counted under a lease that was over", "good for two ends")),
        ("a repeated enqueue is recognised", ("in two places", "handed out after its end")),
    ],
)
def test_a_script_without_its_safeguard_is_found_out(server: Engine, safeguard: str, says: tuple[str, ...]) -> None:
    tales = (play(seed, server, without(safeguard)) for seed in range(1, SEEDS + 1))
    assert any(words in sentence for tale in tales for sentence in tale.broken for words in says)


def test_a_client_that_never_reconciles_is_found_out(server: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Heartbeat, "_compare", lambda *_: None)
    tales = (play(seed, server) for seed in range(1, SEEDS + 1))
    assert any("for all tasks to end" in sentence for tale in tales for sentence in tale.broken)
