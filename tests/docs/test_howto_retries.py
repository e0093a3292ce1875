"""The page on retries: its table says what the code does."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from singleton_service.background.config import Settings
from singleton_service.background.task_queue.policy import Policy
from singleton_service.background.task_queue.retry import retry_delay_s

PAGE = Path(__file__).parents[2] / "docs/howto/retries.md"
ROW = re.compile(r"^\| (nothing given|`retry_[^`]+`) \| ([0-9, ]+) \|$", re.MULTILINE)
ROWS = ROW.findall(PAGE.read_text(encoding="utf-8"))


def test_the_table_was_found() -> None:
    assert len(ROWS) >= 9


@pytest.mark.parametrize(("options", "delays"), ROWS)
def test_the_delays_are_those_of_the_table(options: str, delays: str) -> None:
    call = ast.parse("f()" if options == "nothing given" else f"f({options.strip('`')})", mode="eval").body
    assert isinstance(call, ast.Call)
    policy = Policy(**{str(given.arg): ast.literal_eval(given.value) for given in call.keywords})
    settings = Settings()
    base_s, cap_s = settings.retry_base_seconds, settings.retry_cap_seconds
    expected = [float(seconds) for seconds in delays.split(", ")]
    assert [retry_delay_s(policy, n, base_s=base_s, cap_s=cap_s) for n in range(1, len(expected) + 1)] == expected
