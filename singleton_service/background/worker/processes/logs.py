"""What is logged in a process is logged by its parent: one place to set up logging, and one writer for each file."""

from __future__ import annotations

import logging
import marshal
import traceback
from typing import TYPE_CHECKING, Any

from singleton_service.background.task_queue.current import running_lease

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from singleton_service.background.task_queue.lease import Lease

_formatter = logging.Formatter()


class Relay(logging.Handler):
    """Passes on what is logged here. Has no lock: a handler may be interrupted while it logs."""

    def __init__(self, say: Callable[[bytes], object]) -> None:
        super().__init__()
        self._say = say

    def createLock(self) -> None:  # noqa: N802 - the base class's name
        """Make none."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Pass on a record."""
        try:
            self._say(_packed(record))
        except Exception:  # a message that does not fit its arguments, say
            self.handleError(record)
        return True


def levels() -> dict[str, int]:
    """Return the levels that were set, by the names of the loggers; the root's is ""."""
    known = [("", logging.root), *logging.root.manager.loggerDict.items()]
    return {name: each.level for name, each in known if isinstance(each, logging.Logger) and each.level}


def set_levels(levels: Mapping[str, int]) -> None:
    """Log here what the parent would log."""
    for name, level in levels.items():
        logging.getLogger(name or None).setLevel(level)


def log_here(data: bytes, lease: Lease | None) -> None:
    """Log what was logged in the process that does the task of *lease*. Never raises."""
    of_task, fields = marshal.loads(data)  # noqa: S302 - written by a process of ours, with this very Python
    record = logging.makeLogRecord(fields)
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        # For filters that mark records with their task.
        token = running_lease.set(lease if of_task else None)
        try:
            logger.handle(record)
        except Exception:  # a user's filter: to be seen, but where nothing filters
            traceback.print_exc()
        finally:
            running_lease.reset(token)


def _packed(record: logging.LogRecord) -> bytes:
    fields = dict(vars(record), msg=record.getMessage(), args=None, exc_info=None)
    if record.exc_info and not record.exc_text:
        fields["exc_text"] = _formatter.formatException(record.exc_info)
    of_task = running_lease.get() is not None
    try:
        return marshal.dumps((of_task, fields))
    except ValueError:
        return marshal.dumps((of_task, {name: _plain(value) for name, value in fields.items()}))


def _plain(value: Any) -> Any:
    try:
        marshal.dumps(value)
    except ValueError:
        return repr(value)
    return value
