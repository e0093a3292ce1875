"""The log of a command: on stderr, for stdout is data's."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .tracebacks import shortened

if TYPE_CHECKING:
    from collections.abc import Iterator

_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


@contextmanager
def logging_to_stderr(verbose: int = 0) -> Iterator[None]:
    """Log warnings and worse on stderr; with *verbose* 1 what goes on, with 2 all there is."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Plain())
    if not verbose:
        handler.addFilter(_is_news)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(_LEVELS[min(verbose, 2)])
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def _is_news(record: logging.LogRecord) -> bool:
    # That the server is away is what the command itself ends with.
    return record.module != "outage"


class _Plain(logging.Formatter):
    """`warning: what happened`; of tracebacks, the user's own frames."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record."""
        text = f"{record.levelname.lower()}: {record.getMessage()}"
        error = record.exc_info[1] if record.exc_info else None
        return f"{text}\n{shortened(error)}" if error else text
