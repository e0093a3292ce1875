"""A web application under gunicorn, and the hooks of gunicorn that start and stop its workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from services.worker import WorkerService
from singleton_service import stop
from tests.system.programs.hosts import hosted  # noqa: F401 - registers the handler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def app(_environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Answer nothing of interest."""
    start_response("204 No Content", [])
    return []


def post_worker_init(_worker: object) -> None:
    """Start in the worker, not in the parent."""
    WorkerService.start_workers(2)


def worker_exit(_server: object, _worker: object) -> None:
    """Stop workers and services."""
    stop()
