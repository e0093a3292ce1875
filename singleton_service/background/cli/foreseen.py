"""Errors of the services below, in the words of the command line. Imported when one has come up: it is heavy."""

from __future__ import annotations

import errno
from pathlib import Path

from singleton_service.background.config import ConfigError
from singleton_service.background.config.masking import mask_url
from singleton_service.background.engine import EngineError
from singleton_service.background.task_queue.errors import (
    DiscoveryError,
    QueueUnavailableError,
    TaskNotFoundError,
    TaskQueueError,
)
from singleton_service.background.worker import HealthProbeError
from singleton_service.exceptions import ServiceError

from .problems import CommandError, ExitCode

_HOW_TO_LOG_IN = (
    "Put the user and the password into REDIS_URL: redis://USER:PASSWORD@HOST:6379/0; USER may be left out."
)
_CANT_WRITE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


def foreseen(error: BaseException) -> CommandError | None:
    """Return what to tell about an error; None when nobody thought of it, and its traceback is what helps.

    A service that did not start is told by its cause.
    """
    cause: BaseException | None = error
    while cause is not None:
        if told := _told(cause):
            return told
        cause = cause.__cause__
    return CommandError(str(error)) if isinstance(error, ServiceError) else None


def _told(error: BaseException) -> CommandError | None:
    told: CommandError | None = None
    match error:
        case CommandError():
            told = error
        case QueueUnavailableError():
            what = f"the task queue's server {mask_url(error.url)} is not available"
            is_locked = any(word in error.reason.lower() for word in ("authentication", "password", "noauth"))
            told = CommandError(
                what, error.reason, _HOW_TO_LOG_IN if is_locked else error.advice, code=ExitCode.UNREACHABLE
            )
        case EngineError():
            last_words = error.log_tail.rpartition("\n")[2]
            why = f"{error.where}: {last_words}" if last_words else error.where
            told = CommandError(error.what, why, error.fix, code=ExitCode.UNREACHABLE)
        case ConfigError():
            told = _about_settings(error)
        case TaskNotFoundError():
            told = no_such_task(error.task_id)
        case DiscoveryError():
            what = f"{len(error.failures)} of the modules of {error.package!r} can't be used"
            why = "; ".join(f"{name}: {said}" for name, said in error.failures.items())
            told = CommandError(what, why, "Mend them: the tracebacks above say where.")
        case HealthProbeError():
            what = f"health can't be told at {error.place} ({error.setting})"
            told = CommandError(what, error.reason, error.advice)
        case TaskQueueError():
            told = CommandError(str(error))
        case OSError():
            told = _about_the_system(error)
    return told


def _about_the_system(error: OSError) -> CommandError | None:
    if isinstance(error, FileNotFoundError) and not _has_directory():
        return CommandError("the working directory is gone", fix="go to one that is there")
    if error.errno in _CANT_WRITE and error.filename is None:
        return CommandError("what was to be printed can't be written", error.strerror or "")
    return None


def _has_directory() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


def no_such_task(task_id: str) -> CommandError:
    """Return the error of an id that nobody knows."""
    return CommandError(
        f"no task {task_id!r}",
        "the id is wrong, or the task has ended and was kept for its time (TASKS_RESULT_TTL_SECONDS)",
        "singleton-service tasks list",
        code=ExitCode.NOT_FOUND,
    )


def _about_settings(error: ConfigError) -> CommandError:
    if len(error.problems) > 1:
        why = "; ".join(f"{each.variable}={each.value!r}: {each.rule}" for each in error.problems)
        return CommandError(
            f"{len(error.problems)} settings can't be used", why, "Change or remove them.", code=ExitCode.USAGE
        )
    (problem,) = error.problems
    what = f"the setting {problem.variable}={problem.value!r} can't be used"
    return CommandError(what, f"{problem.rule} (it is from {problem.origin})", problem.fix, code=ExitCode.USAGE)
