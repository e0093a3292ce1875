"""The thread of a dispatcher: what kills it is followed by another life, which goes on with all that is in hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from singleton_service.workers import Server, ThreadWorker

if TYPE_CHECKING:
    from .dispatcher import Dispatcher
    from .stats import WorkerCounters

# Tasks that have ended wait for it meanwhile, and so does a stop.
_FIRST_RESTART_S = 0.05
_LONGEST_RESTART_S = 1.0


class DispatcherLoop(ThreadWorker):
    """Drives one dispatcher to its end. Errors that are foreseen don't come here."""

    def __init__(self, dispatcher: Dispatcher, counters: WorkerCounters) -> None:
        super().__init__("worker-dispatcher")
        self._dispatcher = dispatcher
        self._counters = counters

    def setup(self) -> None:
        """Leave nothing half said that a life before this one began to say."""
        if self.starts > 1:
            self._dispatcher.begin_anew()

    def main(self) -> None:
        """Dispatch until a stop has come to its end."""
        self._dispatcher.run()

    def lifecycle(self, event: str, **data: Any) -> None:  # noqa: ARG002 - the log has what happened
        """Count."""
        if event == "error":
            self._counters.add(processing_errors=1)


def server_of(loop: DispatcherLoop) -> Server:
    """Return who starts the loop, and starts it again."""
    server = Server("worker", first_restart_s=_FIRST_RESTART_S, longest_restart_s=_LONGEST_RESTART_S)
    server.add_worker(loop)
    return server
