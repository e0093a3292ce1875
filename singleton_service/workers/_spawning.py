"""Starting the process of a worker, and saying beforehand what cannot be passed to it."""

from __future__ import annotations

import inspect
import multiprocessing.process
import signal
import sys
from multiprocessing import get_context, resource_tracker, util
from multiprocessing.context import set_spawning_popen
from multiprocessing.reduction import ForkingPickler

from . import _endings
from ._child import SIGNALS, run_child
from .errors import WorkerArgumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

    from ._worker import AbstractWorker

__all__ = ["disown", "spawn"]

_first_at_exit: list[util.Finalize] = []


def spawn(worker: AbstractWorker) -> tuple[SpawnProcess, Connection]:
    """Start the process of *worker*; return it, and the line to it.

    Raises:
        WorkerArgumentError: The class or an argument cannot be passed. Nothing was started.
    """
    _check_class(type(worker))
    if not _first_at_exit:
        # multiprocessing waits for its processes when the interpreter ends: ours are told to end before that.
        _first_at_exit.append(util.Finalize(None, _endings.end_daemons, exitpriority=100))
    processes = get_context("spawn")
    ours, theirs = processes.Pipe()
    process = processes.Process(
        target=run_child, args=(type(worker), *worker._arguments, theirs), name=worker.name, daemon=False
    )
    # Started by itself, the tracker would unblock the signals again that are blocked here.
    resource_tracker.ensure_running()
    # Until the child has handlers of its own, a Ctrl-C would leave a traceback of its imports, and a TERM be lost.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        process.start()
    except Exception as error:
        ours.close()
        if (refusal := _refusal(worker)) is not None:
            raise refusal from error
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
    return process, ours


def disown(process: SpawnProcess) -> None:
    """Let multiprocessing in a forked child forget a process that is not its child."""
    multiprocessing.process._children.discard(process)  # type: ignore[attr-defined]  # there is no other way


def _check_class(cls: type) -> None:
    name = cls.__qualname__
    if "<locals>" in name:
        raise WorkerArgumentError(name, "the class", "it is defined inside a function")
    main = sys.modules["__main__"]
    if cls.__module__ == "__main__" and not (hasattr(main, "__file__") or getattr(main, "__spec__", None)):
        raise WorkerArgumentError(name, "the class", "it was typed in, and is in no file")


def _refusal(worker: AbstractWorker) -> WorkerArgumentError | None:
    """Return the error that names what of *worker* cannot be pickled, if that is what was wrong."""
    for name, value in (("the class", type(worker)), *_named_arguments(worker)):
        set_spawning_popen(_Probe())  # type: ignore[arg-type]  # it does what is asked of one
        try:
            ForkingPickler.dumps(value)
        except Exception as error:
            return WorkerArgumentError(type(worker).__qualname__, name, str(error))
        finally:
            set_spawning_popen(None)
    return None


def _named_arguments(worker: AbstractWorker) -> Iterator[tuple[str, object]]:
    args, kwargs = worker._arguments
    bound = inspect.signature(type(worker)).bind(*args, **kwargs)
    for name, value in bound.arguments.items():
        kind = bound.signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            yield from ((f"{name}[{number}]", each) for number, each in enumerate(value))
        elif kind is inspect.Parameter.VAR_KEYWORD:
            yield from value.items()
        else:
            yield name, value


class _Probe:
    """Stands for the process to be started while its arguments are pickled for trial."""

    DupFd = int  # what a descriptor becomes on the way

    def duplicate_for_child(self, descriptor: int) -> int:
        return descriptor
