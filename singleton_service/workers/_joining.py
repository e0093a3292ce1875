"""Waiting for workers to end, and what comes when they don't."""

from __future__ import annotations

import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._life import Life
    from ._worker import AbstractWorker

__all__ = ["join_all"]

INTERRUPTED_S = 2.0
"""How long a worker has for its teardown after its main was broken off."""
KILLED_S = 5.0
"""How long to wait for the system to take a killed process away."""


def join_all(workers: Iterable[AbstractWorker], timeout_s: float | None) -> bool:
    """Wait until all *workers* have ended, *timeout_s* seconds in all; then use force where that is possible.

    Returns:
        Whether all of them ended by themselves, in time.

    Raises:
        RuntimeError: One of the workers runs in this very thread.
    """
    lives = [worker._life for worker in workers if worker._life is not None]
    for life in lives:
        if life.thread is threading.current_thread() and not life.ended.is_set():
            raise RuntimeError(f"worker {life.worker.name!r} cannot wait for its own end: just return from its main()")
    if _wait_for(lives, timeout_s):
        return True
    broken_off = [life for life in _alive(lives) if _interrupt(life)]
    if not _wait_for(broken_off, INTERRUPTED_S):
        for life in _alive(broken_off):
            life.kill()
        _wait_for(broken_off, KILLED_S)
    return False


def _interrupt(life: Life) -> bool:
    with life.worker._lock:  # not amid its start
        return life.interrupt()


def _wait_for(lives: Iterable[Life], timeout_s: float | None) -> bool:
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    for life in lives:
        if not life.ended.wait(None if deadline is None else max(0.0, deadline - time.monotonic())):
            return False
        if life.thread is not threading.current_thread():
            life.thread.join()  # it has only to return
    return True


def _alive(lives: Iterable[Life]) -> list[Life]:
    return [life for life in lives if not life.ended.is_set()]
