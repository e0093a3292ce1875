"""Workers that write down what happens to them, and nothing left running after a test."""

from __future__ import annotations

import multiprocessing
import threading
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.workers import _endings

from .crew import Journal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def nothing_is_left_behind(until: Callable[..., Any]) -> Iterator[None]:
    threads = set(threading.enumerate())
    yield
    _endings.end_daemons()
    until(lambda: not [thread for thread in set(threading.enumerate()) - threads if thread.is_alive()])
    assert not multiprocessing.active_children()


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")
