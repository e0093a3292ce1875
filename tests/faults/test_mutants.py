"""The hunt itself is `make mutants`; here: that each mutant can still be bred from today's code."""

from __future__ import annotations

from pathlib import Path

import pytest

from .catalogue import SCENARIOS
from .mutants import MUTANTS, Mutant

HOME = Path(__file__).parents[2]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_a_safeguard_stands_where_its_mutant_takes_it_out(mutant: Mutant) -> None:
    assert (HOME / mutant.file).read_text(encoding="utf-8").count(mutant.text) == 1
    assert mutant.text != mutant.instead


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_each_mutant_has_a_hunter(mutant: Mutant) -> None:
    file, _, test = mutant.hunter.partition("::")
    assert mutant.hunter in SCENARIOS or f"def {test}(" in (HOME / file).read_text(encoding="utf-8")
