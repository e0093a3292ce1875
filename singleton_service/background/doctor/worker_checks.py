"""Checks of the workers that live: pure functions of what each wrote down about itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from singleton_service.background.worker.notes import BLOCKED, STANDS_STILL

from .finding import fine, problem, warning
from .words import several

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .finding import Finding

    Troubles = Mapping[str, Mapping[str, str]]


def check_fetching(troubles: Troubles) -> Finding:
    """Whether a worker is alive and takes no tasks."""
    check, standing = "fetching", _of_kind(troubles, STANDS_STILL)
    if not standing:
        return fine(check, "no worker stands still")
    said = several(f"{worker}: {trouble}" for worker, trouble in standing.items())
    return problem(check, said, "Restart it, and look into its log; run_forever(standalone=True) does so by itself.")


def check_event_loop(troubles: Troubles) -> Finding:
    """Whether a coroutine held up all others in the last hour."""
    check, blocked = "event loop", _of_kind(troubles, BLOCKED)
    if not blocked:
        return fine(check, "no coroutine was seen to block it")
    said = several(f"{worker}: {trouble}" for worker, trouble in blocked.items())
    return warning(check, said, "Await what takes long, use asyncio.to_thread(), or make it a plain function.")


def _of_kind(troubles: Troubles, kind: str) -> dict[str, str]:
    return {worker: known[kind] for worker, known in troubles.items() if kind in known}
