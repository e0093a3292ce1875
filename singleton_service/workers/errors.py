"""Everything the workers raise, as one tree.

ServiceError
└── WorkerError
    ├── WorkerArgumentError     a process worker cannot be given to its process
    └── WorkerEndingError       started again while its last life is still ending
"""

from __future__ import annotations

from singleton_service.exceptions import ServiceError

__all__ = ["WorkerArgumentError", "WorkerEndingError", "WorkerError"]


class WorkerError(ServiceError):
    """The root of all errors of the workers."""


class WorkerArgumentError(WorkerError, TypeError):
    """Something that a `ProcessWorker` is made of cannot be passed to its process; nothing was started.

    Attributes:
        worker: The name of its class.
        argument: The argument's name; ``"the class"`` if it is the class that cannot be found there.
        reason: What went wrong, in words.
    """

    def __init__(self, worker: str, argument: str, reason: str) -> None:
        super().__init__(worker, argument, reason)
        self.worker = worker
        self.argument = argument
        self.reason = reason

    def __str__(self) -> str:
        if self.argument == "the class":
            return (
                f"{self.worker} cannot be found by its process: {self.reason}. "
                "Write the class at the top of a module that can be imported."
            )
        return (
            f"argument {self.argument!r} of {self.worker} cannot be passed to its process: {self.reason}. Pass what "
            "pickle can copy; queues, events and locks made by multiprocessing.get_context('spawn') pass too. "
            "What can only be opened there (files, connections, locks of threads) belongs in setup()."
        )


class WorkerEndingError(WorkerError):
    """A worker was started while its last life is still ending, or was told to end.

    Attributes:
        worker: The worker's name.
    """

    def __init__(self, worker: str) -> None:
        super().__init__(worker)
        self.worker = worker

    def __str__(self) -> str:
        return f"worker {self.worker!r} is still ending: wait for it with join() before you start it again."
