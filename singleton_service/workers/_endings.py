"""Which workers live in this process: ended in order when it ends, forgotten by its forked children."""

from __future__ import annotations

import atexit

from singleton_service._operations import after_fork

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._worker import AbstractWorker

__all__ = ["LAST_ROUND_S", "end_daemons", "forget", "remember"]

LAST_ROUND_S = 5.0
"""How long the workers have, all together, when the interpreter ends while they run."""

_alive: set[AbstractWorker] = set()


def remember(worker: AbstractWorker) -> None:
    """Note that *worker* lives."""
    if not _alive:
        atexit.unregister(end_daemons)  # so that it stands there once, however often workers come and go
        atexit.register(end_daemons)
    _alive.add(worker)


def forget(worker: AbstractWorker) -> None:
    """Note that *worker* lives no more, or that nobody waits for it any longer."""
    _alive.discard(worker)


def end_daemons() -> None:
    """End what still runs, teardown included, before the interpreter takes its threads away."""
    from ._joining import join_all  # noqa: PLC0415 - which needs lives, which need this module

    daemons = [worker for worker in tuple(_alive) if worker.daemon]
    for worker in daemons:
        worker.stop()
    join_all(daemons, LAST_ROUND_S)


def _leave_workers_to_the_parent() -> None:
    for worker in _alive:
        worker._leave_to_the_parent()
    _alive.clear()


after_fork.append(_leave_workers_to_the_parent)
