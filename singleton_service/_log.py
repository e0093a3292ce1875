"""The logger "singleton_service", loaded when there is something to say."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from logging import Logger

__all__ = ["logger"]


def logger() -> Logger:
    """Return the container's logger. Importing logging is a third of the whole import time."""
    import logging  # noqa: PLC0415 - see above

    return logging.getLogger("singleton_service")
