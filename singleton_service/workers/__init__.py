"""Threads, coroutines and processes with a life story: setup, main, teardown, and who is told of it.

Derive from `ThreadWorker` for work that waits, from `ProcessWorker` for work that computes; hand them to a `Server`,
which starts them, starts the dead again, and ends all of them together. Standard library only; importing it starts
nothing.
"""

from ._asyncio import run_async_safely, set_uvloop_if_available
from ._process import ProcessWorker
from ._server import Server
from ._thread import ThreadWorker
from ._worker import AbstractWorker
from .errors import WorkerArgumentError, WorkerEndingError, WorkerError

__all__ = [
    "AbstractWorker",
    "ProcessWorker",
    "Server",
    "ThreadWorker",
    "WorkerArgumentError",
    "WorkerEndingError",
    "WorkerError",
    "run_async_safely",
    "set_uvloop_if_available",
]
